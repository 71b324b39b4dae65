"""Measuring on another machine: the system's OpenSSH, edgekit as it is installed there, one stream
each way.

Here `measure_there` runs `ssh HOST edgekit profile --agent` and sends a header, the bundle, the key
and the inputs on its standard input, then a byte of heartbeat now and then. There `serve_agent`
stages the bundle in a temporary folder, runs the same code as a local profile, and answers with one
JSON object a line: progress, then the result or the error, each with its version. When the
heartbeat ends, the link is lost: the agent stops what it started, removes the folder and ends.
"""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

import msgspec

from edgekit import __version__, errors
from edgekit.edge.bundle.trust import open_trust
from edgekit.errors import EdgekitError, InputError, JobFailed
from edgekit.nouns import Noun, Profiles
from edgekit.profiles.profile import Wish, collect_inputs, measure
from edgekit.profiles.session import Tell
from edgekit.profiles.subjects import stage, staging_folder

HEARTBEAT_SECONDS = 2.0
LOST_SECONDS = 15.0  # without a heartbeat
CHUNK = 1 << 20
SSH = (
    "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
STOPS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
SSH_FAILED, NOT_FOUND = 255, 127  # exit codes of ssh itself, and of the shell there
# No user or host with a dash in front, which ssh would take for an option, and no password: ssh has
# no place for one.
URL = re.compile(
    r"ssh://(?P<user>[^-\s:/][^\s:/]*@)?(\[(?P<ipv6>[0-9a-fA-F:][^\s@/\[\]]*)\]|(?P<name>[^-\s@:/?#\[\]][^\s@:/?#\[\]]*))(:(?P<port>\d+))?/?",
    re.ASCII,
)
PASSWORD = re.compile(r"(?<=//)([^:@]*):.*@")
LAST_WORDS = 4096  # bytes of what ssh and the other end said beside the answers
T = TypeVar("T")


class Header(Noun, frozen=True, kw_only=True):
    """The first line to the agent. The sizes, in bytes, are of what follows; inputs of 0 means the
    golden samples.
    """

    wish: Wish
    bundle: int
    key: int
    inputs: int
    said: str


class Device(Noun, frozen=True, kw_only=True):
    """Where to measure."""

    host: str  # with user
    port: int | None
    command: tuple[str, ...]  # edgekit, there
    ssh_config: Path | None = None  # instead of the user's own


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the agent. Of this and the next two, what another version adds is passed over."""

    what: str
    stage: str
    share: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The last line, if all went well."""

    result: Profiles


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The last line, if not. kind: of edgekit.errors."""

    kind: str
    message: str


def parse_device(url: str, command: str, ssh_config: Path | None = None) -> Device:
    """From ssh://user@host:port; raises InputError."""
    found = URL.fullmatch(url)
    if found is None or not 0 < int(found["port"] or 22) < 1 << 16:
        shown = PASSWORD.sub(r"\1:***@", url)
        raise InputError(
            f"--device {shown}: not of the form ssh://user@host or ssh://user@host:port"
        )
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise InputError(f"--remote-edgekit {command}: {error}") from None
    if not words:
        raise InputError("--remote-edgekit: names no command")
    host = (found["user"] or "") + (found["ipv6"] or found["name"])
    port = int(found["port"]) if found["port"] else None
    return Device(host=host, port=port, command=words, ssh_config=ssh_config)


def measure_there(
    device: Device, bundle: Path, key: Path, wish: Wish, inputs: Path | None, said: str, tell: Tell
) -> Profiles:
    """Measure a bundle's variants on a device. Raises what the agent raised, or JobFailed if the
    link fails.
    """
    if not bundle.is_file():
        raise InputError(f"{bundle}: to be sent to a device a bundle must be one .tar file")
    parts = [path.read_bytes() if path else b"" for path in (key, inputs)]
    header = Header(
        wish=wish, bundle=bundle.stat().st_size, key=len(parts[0]), inputs=len(parts[1]), said=said
    )
    options = ["-p", str(device.port)] if device.port else []
    options += ["-F", str(device.ssh_config)] if device.ssh_config else []
    command = [
        *SSH,
        *options,
        "--",
        device.host,
        shlex.join([*device.command, "profile", "--agent"]),
    ]
    # no pipe: one that nobody empties would stop the other end
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
            )
        except FileNotFoundError:
            raise InputError(
                "--device needs OpenSSH's ssh on this machine; install openssh-client"
            ) from None
        assert process.stdin  # noqa: S101 - we asked for pipes
        assert process.stdout  # noqa: S101
        with process, _fed(process.stdin, header, bundle, parts), _ended(process):
            ending = _listen(process.stdout, tell, device)
        return _conclude(ending, _last_line(words), process.returncode, device)


def _last_line(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_WORDS))
    lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was said")


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Ctrl-C here ends ssh, which ends the agent."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


@contextmanager
def _fed(pipe: IO[bytes], header: Header, bundle: Path, parts: Sequence[bytes]) -> Iterator[None]:
    """Send all, then heartbeats, from a thread of its own: the agent may answer before it has read
    everything.
    """
    over = threading.Event()

    def feed() -> None:
        with suppress(OSError):  # the agent ended early: what it said comes on the other pipe
            pipe.write(header.to_json() + b"\n")
            with bundle.open("rb") as file:
                while chunk := file.read(CHUNK):
                    pipe.write(chunk)
            pipe.write(b"".join(parts))
            pipe.flush()
            while not over.wait(HEARTBEAT_SECONDS):
                pipe.write(b".")
                pipe.flush()
        with suppress(OSError):
            pipe.close()

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(HEARTBEAT_SECONDS)


def _listen(pipe: IO[bytes], tell: Tell, device: Device) -> dict[str, object]:
    """Hand progress on until the pipe closes; returns the result or the problem, whichever came, or
    nothing.
    """
    ending: dict[str, object] = {}
    for line in pipe:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue  # a shell's greeting
        if not isinstance(message, dict):
            continue
        if "share" in message:
            progress = _understood(message, Progress, device)
            tell(progress.what, progress.stage, progress.share)
        elif "result" in message or "kind" in message:
            ending = message
    return ending


def _understood(message: dict[str, object], kind: type[T], device: Device) -> T:
    try:
        return msgspec.convert(message, kind)
    except msgspec.ValidationError as error:
        raise JobFailed(
            f"{device.host}: the edgekit there, {message.get('version', 'of an unknown version')},"
            f" and this one, {__version__}, do not understand each other ({error}); install the"
            " same version on both"
        ) from None


def _conclude(ending: dict[str, object], last: str, code: int, device: Device) -> Profiles:
    """last: what ssh, or the other end, said last."""
    if "result" in ending:
        return _understood(ending, Result, device).result
    if "kind" in ending:
        problem = _understood(ending, Problem, device)
        kind = getattr(errors, problem.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, EdgekitError)):
            kind = EdgekitError
        raise kind(f"{device.host}: {problem.message}")
    if code == SSH_FAILED:
        raise JobFailed(f"{device.host}: ssh: {last}; try it by hand: ssh {device.host}")
    if code == NOT_FOUND:
        raise JobFailed(
            f"{device.host}: {' '.join(device.command)} is not there ({last}); say how it is called"
            " there with --remote-edgekit"
        )
    raise JobFailed(f"{device.host}: the agent ended with exit code {code}: {last}")


def serve_agent(source: io.BufferedReader, target: BinaryIO) -> None:
    """The other end: `edgekit profile --agent`."""

    def say(message: msgspec.Struct) -> None:
        line = {"version": __version__, **msgspec.to_builtins(message)}
        target.write(json.dumps(line).encode() + b"\n")
        target.flush()

    for number in STOPS:  # also where a shell told us to ignore them
        signal.signal(number, _stop)
    try:
        with staging_folder() as work:
            link = _Link(source)
            header = _receive(link, work)
            link.listen()
            staged = stage(
                work / "bundle.tar", header.wish.variants, open_trust(work / "key.pub"), work
            )
            inputs, said = work / "inputs.json", header.said
            if not header.inputs:
                inputs, said = collect_inputs(staged[0], None, (), work)

            def tell(what: str, stage: str, share: float) -> None:
                say(Progress(what=what, stage=stage, share=share))

            say(Result(result=measure(staged, header.wish, inputs, said, work, tell)))
    except EdgekitError as error:
        say(Problem(kind=type(error).__name__, message=str(error)))
    except OSError as error:
        with suppress(OSError):  # the link itself, perhaps
            say(Problem(kind="EdgekitError", message=f"{error.filename or ''}: {error.strerror}"))


def _stop(*_: object) -> None:
    """Once: a second signal, such as the hangup after the link's end, must not interrupt the
    cleaning up.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Link:
    """What comes from the other end. The main thread, which cleans up, is interrupted when that has
    gone or fallen silent.
    """

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._heard = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def line(self) -> bytes:
        return self._noted(self._source.readline(CHUNK))

    def some(self, size: int) -> bytes:
        """At least a byte, at most so many; none at the end."""
        return self._noted(self._source.read1(min(size, CHUNK)))

    def listen(self) -> None:
        """From now on only heartbeats come."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _noted(self, data: bytes) -> bytes:
        self._heard.set()
        return data

    def _listen(self) -> None:
        while self.some(1):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    def _watch(self) -> None:
        while self._heard.wait(LOST_SECONDS):
            self._heard.clear()
        os.kill(os.getpid(), signal.SIGINT)


def _receive(link: _Link, work: Path) -> Header:
    """The header and the files that it announces."""
    try:
        header = msgspec.json.decode(link.line(), type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"the edgekit here, {__version__}, does not understand the other one ({error}); install"
            " the same version on both"
        ) from None
    for name, size in (
        ("bundle.tar", header.bundle),
        ("key.pub", header.key),
        ("inputs.json", header.inputs),
    ):
        with (work / name).open("wb") as file:
            while size and (chunk := link.some(size)):
                file.write(chunk)
                size -= len(chunk)  # noqa: PLW2901
        if size:
            raise InputError("the link was lost before everything had come")
    return header


def agent_main() -> None:
    """On standard input and output; whatever a library prints must not mix with the answers."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve_agent(os.fdopen(sys.stdin.fileno(), "rb", closefd=False), answers)
