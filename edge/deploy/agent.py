"""The agent: the end of an SSH link on the device, which does what edgekit.edge.deploy.ssh asks."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Container
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar, cast

import msgspec

from edgekit import __version__
from edgekit.edge.deploy.ssh import (
    CHUNK,
    FROM_AGENT,
    LOST_SECONDS,
    TO_AGENT,
    FilePiece,
    Progress,
    Request,
    Result,
    Tell,
)
from edgekit.errors import EdgekitError, InputError
from edgekit.frames import Garbled, greeting, read_greeting
from edgekit.problems import Problem, problem_of

STOPS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Service(Generic[T]):
    """The work that an agent does for one verb.

    request: the type of the record that it is asked with.
    files: the names of the files that may be sent along.
    folder: makes the folder that holds them, and removes it however the work ends.
    work: does what is asked, with the files in that folder, and returns the answer.
    """

    request: type[T]
    files: Container[str]
    folder: Callable[[], AbstractContextManager[Path]]
    work: Callable[[T, Path, Tell], object]


def agent_main(service: Service[T]) -> None:
    """Serve one request on standard input and output; what a library prints goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve_agent(os.fdopen(sys.stdin.fileno(), "rb", closefd=False), answers, service)


def serve_agent(source: io.BufferedReader, target: BinaryIO, service: Service[T]) -> None:
    """Serve one request, and end what was started when the link is lost.

    source: what comes from the other end.
    target: where the answers go.
    """

    def say(message: Progress | Result | Problem) -> None:
        target.write(FROM_AGENT.pack(message))
        target.flush()

    for number in STOPS:  # also where a shell told us to ignore them
        signal.signal(number, _stop)
    try:
        target.write(greeting())
        target.flush()
        with service.folder() as work:
            link = _Link(source)
            request = _receive(link, work, service)
            link.listen()

            def tell(what: str, stage: str, share: float) -> None:
                say(Progress(what=what, stage=stage, share=share))

            answer = service.work(request, work, tell)
            say(Result(body=msgspec.Raw(msgspec.msgpack.encode(answer))))
    except EdgekitError as error:
        problem = problem_of(error)
        assert problem  # noqa: S101 - every EdgekitError has a record
        say(problem)
    except OSError as error:
        with suppress(OSError):  # the link itself, perhaps
            say(Problem(kind="EdgekitError", message=f"{error.filename or ''}: {error.strerror}"))


def _stop(*_: object) -> None:
    """Interrupt the main thread, once.

    A second signal, such as the hangup after the link's end, must not interrupt the cleaning up.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Link:
    """The stream from the other end, read in pieces as they come.

    The main thread, which cleans up, is interrupted when that end has gone or fallen silent.
    """

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._heard = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def stream(self) -> BinaryIO:
        """The link itself, for readers that want a file: they use `read` and `readline` only."""
        return cast("BinaryIO", self)

    def readline(self, size: int = -1) -> bytes:
        """Return the next line, `size` bytes at most."""
        return self._noted(self._source.readline(size))

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes as soon as there are some, `size` at most; b"" at the end."""
        return self._noted(self._source.read1(min(size, CHUNK)))

    def listen(self) -> None:
        """Take it that from now on only heartbeats come, and watch for their end."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _noted(self, data: bytes) -> bytes:
        """Note that the other end is there."""
        self._heard.set()
        return data

    def _listen(self) -> None:
        """Read until the other end goes away, and interrupt the main thread then."""
        while self.read(CHUNK):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    def _watch(self) -> None:
        """Interrupt the main thread when nothing was heard for LOST_SECONDS."""
        while self._heard.wait(LOST_SECONDS):
            self._heard.clear()
        os.kill(os.getpid(), signal.SIGINT)


def _receive(link: _Link, work: Path, service: Service[T]) -> T:
    """Read the request and the files that it announces into a folder; raises InputError."""
    try:
        read_greeting(link.stream)
        first = TO_AGENT.read(link.stream)
        if not isinstance(first, Request):
            raise Garbled("no request came")
        for file in first.files:
            if file.name not in service.files:
                raise Garbled(f"a file {file.name} came")
            _receive_file(link, work / file.name, file.size)
        return msgspec.msgpack.decode(first.body, type=service.request)
    except (Garbled, msgspec.DecodeError) as error:
        raise InputError(
            f"the edgekit here, {__version__}, does not understand the other one ({error}); install"
            " the same version on both"
        ) from None


def _receive_file(link: _Link, path: Path, size: int) -> None:
    """Write the pieces of one file; raises InputError where they end too early."""
    with path.open("wb") as file:
        while size > 0:
            piece = TO_AGENT.read(link.stream)
            if not isinstance(piece, FilePiece) or len(piece.data) > size:
                raise InputError("the link was lost before everything had come")
            file.write(piece.data)
            size -= len(piece.data)
