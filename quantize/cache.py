"""The cache of a build: every step's result under the digest of all that went into it.

Failures are kept, too.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

import edgekit.edge
import edgekit.profiles
import edgekit.quantize
import edgekit.targets
from edgekit.digests import digest_bytes
from edgekit.errors import EdgekitError, JobFailed, MissingPackage
from edgekit.files import make_folder, write_durably
from edgekit.nouns import Noun, Unreadable, read_json

# bytes; with less, a step that failed is taken to have failed for want of space
LEAST_FREE = 16 << 20


class Failure(Noun, frozen=True, kw_only=True):
    """A step that failed for a reason that will not go away by itself."""

    message: str


@contextmanager
def recorded(folder: Path, key: str) -> Iterator[None]:
    """Run a step; a failure that would come again is kept, and raised at once the next time."""
    path = folder / "failures" / f"{key}.json"
    failure: Failure | None = kept(path, Failure)
    if failure is not None:
        raise JobFailed(failure.message)
    try:
        yield
    except EdgekitError as error:
        if shutil.disk_usage(folder).free < LEAST_FREE:  # libraries word a full disk in many ways
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        is_fleeting = isinstance(error, JobFailed) and error.is_fleeting
        if not is_fleeting and not isinstance(error, MissingPackage):
            make_folder(path.parent)
            write_durably(path, Failure(message=str(error)).to_json())
        raise


def kept(path: Path, kind: Any) -> Any:  # noqa: ANN401 - the kind's own type
    """Read a record of an earlier build; None if there is none that this version can read."""
    try:
        return read_json(path.read_bytes(), kind)
    except (FileNotFoundError, Unreadable):
        return None


def key_of(*parts: object) -> str:
    """Digest everything that a step depends on, our own code among it."""
    text = msgspec.json.encode([_code_digest(), *parts], order="sorted")
    return digest_bytes(text).removeprefix("sha256:")[:24]


@cache
def _code_digest() -> str:
    """Digest every module that has a say in a build; where one changes, results are made anew.

    The modules of release are left out: they only pack what is built.
    """
    digest = hashlib.sha256()
    for package in (edgekit, edgekit.edge, edgekit.profiles, edgekit.quantize, edgekit.targets):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def clear_leftovers(folder: Path) -> None:
    """Remove half-made folders of a build that was killed; their names start with a dot.

    See edgekit.files.new_folder.
    """
    for path in folder.glob("*/.*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
