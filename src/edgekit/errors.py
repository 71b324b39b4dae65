"""Every error that edgekit shows a user, with its exit code.

    EdgekitError            1  something failed, and the message says what to do
    ├── EngineFailed        1  an engine has no answer to an input
    ├── InputError          2  a file, a key, a row or an argument is not right
    ├── MissingPackage      3  an optional part is not installed; the message has the command
    ├── NoVariant           4  no variant keeps every limit
    ├── Refused             5  a bundle is not what its signer signed, or its signer is not trusted
    ├── Misfit              6  a sound bundle that is not for this device, or is ill here
    ├── Busy                7  another process holds the lock
    ├── JobFailed           8  a step in a process of its own ended in an error or a signal
    ├── Unavailable         1  no worker can answer now
    └── GivenUp             1  a slot was taken out of service

A message is one line, names the file and the key or row, and says what would be right.
"""

from pathlib import Path
from typing import ClassVar


class EdgekitError(Exception):
    """The root: the command line shows it as one line and exits with its code."""

    exit_code: ClassVar[int] = 1

    @property
    def reason(self) -> str:
        """What went wrong, without where to read more about it."""
        return str(self)


class InputError(EdgekitError):
    """What the user gave is not right."""

    exit_code = 2


class MissingPackage(EdgekitError):
    """An optional package is needed and not installed."""

    exit_code = 3

    @classmethod
    def of(cls, what: str, extra: str) -> "MissingPackage":
        """Make the error for `what`, with the command that installs the `extra` it comes with."""
        # reads the installed metadata, so only when needed
        from edgekit.installation import install_command

        return cls(f"{what} is not installed; get it with: {install_command(extra)}")


class NoVariant(EdgekitError):
    """Every variant breaks a limit, or failed."""

    exit_code = 4


class Refused(EdgekitError):
    """A bundle that must not be used."""

    exit_code = 5


class Misfit(EdgekitError):
    """A sound bundle that this device can't run, or that answers wrongly on it."""

    exit_code = 6


class Busy(EdgekitError):
    """Another process is at work on the same folder."""

    exit_code = 7


class JobFailed(EdgekitError):
    """A job in a process of its own failed.

    signal: the signal's name if the process was killed by one, else None.
    log: the file that holds what the job printed, or None.
    """

    exit_code = 8
    FLEETING: ClassVar = ("SIGKILL", "SIGTERM", "SIGINT", "SIGABRT")  # out of memory, or by hand

    def __init__(self, reason: str, signal: str | None = None, log: Path | None = None) -> None:
        super().__init__(f"{reason}; its output is in {log}" if log else reason)
        self._reason = reason
        self.signal = signal
        self.log = log

    @property
    def reason(self) -> str:
        """What went wrong, without where to read more about it."""
        return self._reason

    @property
    def is_fleeting(self) -> bool:
        """Whether the next time may be luckier."""
        return self.signal in self.FLEETING


class EngineFailed(EdgekitError):
    """An engine raised an error over an input, or answered with something that is no number."""


class Unavailable(EdgekitError):
    """No worker can answer now.

    is_unsound: the worker's files are not what was deployed, or its answers are wrong.
    """

    def __init__(self, message: str, *, is_unsound: bool = False) -> None:
        super().__init__(message)
        self.is_unsound = is_unsound


class GivenUp(EdgekitError):
    """A slot was taken out of service."""
