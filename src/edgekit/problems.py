"""Errors as records, so that they cross from one process to another as what they are."""

import errno
import os

import msgspec

from edgekit import errors
from edgekit.errors import EdgekitError, JobFailed

KINDS: dict[str, type[EdgekitError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, EdgekitError)
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, tag="problem"):
    """An error on its way. `message` never holds a part of an input.

    kind: the name of a class in edgekit.errors, or "DiskFull".
    message: one line for people, or the path that a full disk holds.
    """

    kind: str
    message: str


def problem_of(error: BaseException) -> Problem | None:
    """Return the record of an error of edgekit, or of a full disk; None for another error."""
    if isinstance(error, EdgekitError):
        return Problem(kind=type(error).__name__, message=error.reason)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Problem(kind="DiskFull", message=str(error.filename or ""))
    return None


def error_of(problem: Problem, where: str = "") -> Exception:
    """Return the error that a record stands for: an EdgekitError where its kind is unknown.

    where: what the message is to begin with, such as the host that it came from.
    """
    if problem.kind == "DiskFull":
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), problem.message or None)
    kind = KINDS.get(problem.kind, EdgekitError)
    message = f"{where}: {problem.message}" if where else problem.message
    return JobFailed(message) if kind is JobFailed else kind(message)
