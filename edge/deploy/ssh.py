"""SSH links: the system's OpenSSH, edgekit as it is installed there, one stream each way.

`ask` runs `ssh HOST edgekit VERB --agent` and sends a request and files on its standard input, then
a heartbeat now and then. There `serve_agent` (edgekit.edge.deploy.agent) does what was asked and
answers with progress, and at last with a result or a problem. When the heartbeat ends, the link is
lost: the agent stops what it started, tidies up and ends. Both ends speak edgekit.frames.
"""

import os
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple, NoReturn, TypeVar, cast

import msgspec

from edgekit import __version__
from edgekit.errors import InputError, JobFailed
from edgekit.frames import Garbled, Messages, Peer, greeting, read_greeting
from edgekit.nouns import Noun
from edgekit.problems import Problem, error_of

HEARTBEAT_SECONDS = 2.0
LOST_SECONDS = 15.0  # without a byte
CHUNK = 1 << 20  # bytes of a file in one frame
SSH = (
    "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
SSH_FAILED, NOT_FOUND = 255, 127  # exit codes of ssh itself, and of the shell there
LAST_WORDS = 4096  # bytes of what ssh and the other end said beside the answers
# No user or host with a dash in front, which ssh would take for an option, and no password: ssh has
# no place for one.
URL = re.compile(
    r"ssh://(?P<user>[^-\s:/][^\s:/]*@)?"
    r"(\[(?P<ipv6>[0-9a-fA-F:][^\s@/\[\]]*)\]|(?P<name>[^-\s@:/?#\[\]][^\s@:/?#\[\]]*))"
    r"(:(?P<port>\d+))?(?P<folder>/[^?#\x00-\x1f]*)?",
    re.ASCII,
)
PASSWORD = re.compile(r"(?<=//)([^:@]*):.*@")
T = TypeVar("T")
Tell = Callable[[str, str, float], None]  # of what, the step, and the share of it that is done


class Address(NamedTuple):
    """The parts of an ssh:// URL.

    host: with the user in front, if one is given.
    port: None for ssh's own choice.
    folder: absolute, on that machine; None if the URL names none.
    """

    host: str
    port: int | None
    folder: PurePosixPath | None


class Device(Noun, frozen=True, kw_only=True):
    """Another machine, and how edgekit is started there.

    host: with the user in front, if one is given.
    port: None for ssh's own choice.
    command: how edgekit is called there, in words.
    ssh_config: a configuration of ssh instead of the user's own, or None.
    """

    host: str
    port: int | None
    command: tuple[str, ...]
    ssh_config: Path | None = None


class FileToCome(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a request announces.

    name: under which the agent keeps it.
    size: in bytes.
    """

    name: str
    size: int


class Request(msgspec.Struct, frozen=True, kw_only=True, tag="request"):
    """The first frame to the agent.

    body: what is asked, as MessagePack of the verb's own record.
    files: the files whose pieces follow, in this order.
    """

    body: msgspec.Raw
    files: tuple[FileToCome, ...]


class FilePiece(msgspec.Struct, frozen=True, kw_only=True, tag="file-piece"):
    """A frame to the agent: the next bytes of the files that were announced.

    data: CHUNK bytes at most.
    """

    data: bytes


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """A frame to the agent that says only that somebody still waits."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """A frame of the agent about its work.

    what: what is worked on, such as a variant.
    stage: what is done with it.
    share: of the work that is done, 0 to 1.
    """

    what: str
    stage: str
    share: float


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """The last frame of the agent, if all went well.

    body: the answer, as MessagePack of the verb's own record.
    """

    body: msgspec.Raw


TO_AGENT = Messages[Request | FilePiece | Heartbeat](Request | FilePiece | Heartbeat)
FROM_AGENT = Messages[Progress | Result | Problem](Progress | Result | Problem)


def parse_address(url: str) -> Address | None:
    """Read `ssh://user@host:port/absolute/folder`; None where a text is not of this form."""
    found = URL.fullmatch(url)
    if found is None or not 0 < int(found["port"] or 22) < 1 << 16:
        return None
    folder = PurePosixPath(found["folder"] or "/")
    if ".." in folder.parts:
        return None
    return Address(
        host=(found["user"] or "") + (found["ipv6"] or found["name"]),
        port=int(found["port"]) if found["port"] else None,
        folder=folder if len(folder.parts) > 1 else None,
    )


def without_password(url: str) -> str:
    """Return a URL with stars in the place of a password, for messages."""
    return PASSWORD.sub(r"\1:***@", url)


def parse_device(url: str, command: str, ssh_config: Path | None = None) -> Device:
    """Read --device, a URL without a folder, and --remote-edgekit; raises InputError."""
    address = parse_address(url)
    if address is None or address.folder is not None:
        raise InputError(
            f"--device {without_password(url)}: not of the form ssh://user@host or"
            " ssh://user@host:port"
        )
    words = parse_command(command)
    return Device(host=address.host, port=address.port, command=words, ssh_config=ssh_config)


def parse_command(command: str) -> tuple[str, ...]:
    """Split --remote-edgekit into words as a shell does; raises InputError."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise InputError(f"--remote-edgekit {command}: {error}") from None
    if not words:
        raise InputError("--remote-edgekit: names no command")
    return words


def ssh_command(device: Device, words: Sequence[str]) -> list[str]:
    """Return the command line that runs edgekit with these words on a device."""
    options = ["-p", str(device.port)] if device.port else []
    options += ["-F", str(device.ssh_config)] if device.ssh_config else []
    return [*SSH, *options, "--", device.host, shlex.join([*device.command, *words])]


def ask(
    device: Device,
    words: Sequence[str],
    request: object,
    files: Mapping[str, Path],
    answer: type[T],
    tell: Tell,
) -> T:
    """Let the agent on a device do something, and return its answer.

    words: the verb of the agent and its options.
    request: a record that the agent reads.
    files: what to send, by the names under which the agent keeps them.
    answer: the type of the agent's answer.

    Raises what the agent raised, JobFailed if the link fails, or InputError where ssh is missing.
    """
    # no pipe for its words: one that nobody empties would stop the other end
    with tempfile.TemporaryFile() as said, ExitStack() as opened:
        sources = {name: opened.enter_context(path.open("rb")) for name, path in files.items()}
        process = _start(ssh_command(device, words), said)
        assert process.stdin  # noqa: S101 - we asked for pipes
        assert process.stdout  # noqa: S101
        with process, _fed(process.stdin, request, sources), _ended(process):
            found = _listen(process.stdout, tell, device, answer)
        if found is None:
            _explain(process.returncode, _last_line(said), device)
    return found


def _start(command: Sequence[str], said: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start ssh; raises InputError where it is not installed."""
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
    except FileNotFoundError:
        raise InputError(
            "--device needs OpenSSH's ssh on this machine; install openssh-client"
        ) from None


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill ssh, and so end the agent, when Ctrl-C or an error ends the work here."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


@contextmanager
def _fed(pipe: IO[bytes], request: object, sources: Mapping[str, BinaryIO]) -> Iterator[None]:
    """Send everything, then heartbeats, while the block runs.

    A thread of its own sends: the agent may answer before it has read everything.
    """
    over = threading.Event()

    def feed() -> None:
        with suppress(OSError):  # the agent ended early: what it said comes on the other pipe
            for data in _frames(request, sources):
                pipe.write(data)
            pipe.flush()
            while not over.wait(HEARTBEAT_SECONDS):
                pipe.write(TO_AGENT.pack(Heartbeat()))
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


def _frames(request: object, sources: Mapping[str, BinaryIO]) -> Iterator[bytes]:
    """Yield what the agent gets: the greeting, the request, the files in pieces."""
    sizes = {name: os.fstat(source.fileno()).st_size for name, source in sources.items()}
    yield greeting()
    yield TO_AGENT.pack(
        Request(
            body=msgspec.Raw(msgspec.msgpack.encode(request)),
            files=tuple(FileToCome(name=name, size=size) for name, size in sizes.items()),
        )
    )
    for name, source in sources.items():
        left = sizes[name]
        while left and (data := source.read(min(left, CHUNK))):
            yield TO_AGENT.pack(FilePiece(data=data))
            left -= len(data)


def _listen(pipe: IO[bytes], tell: Tell, device: Device, answer: type[T]) -> T | None:
    """Hand progress on until the agent's result, None where none came; raises its problem."""
    peer: Peer | None = None
    try:
        stream = cast("BinaryIO", pipe)
        peer = read_greeting(stream)
        while peer and (frame := FROM_AGENT.read(stream)):
            if isinstance(frame, Progress):
                tell(frame.what, frame.stage, frame.share)
                continue
            while pipe.read(CHUNK):
                pass  # a shell's farewell
            if isinstance(frame, Problem):
                raise error_of(frame, device.host)
            return msgspec.msgpack.decode(frame.body, type=answer)
    except (Garbled, msgspec.ValidationError) as error:
        if peer is None:
            raise JobFailed(f"{device.host}: {error}") from None
        raise JobFailed(
            f"{device.host}: the edgekit there, {peer.edgekit}, and this one, {__version__}, do not"
            f" understand each other ({error}); install the same version on both"
        ) from None
    return None


def _explain(code: int, last: str, device: Device) -> NoReturn:
    """Raise JobFailed for a run of ssh that brought no answer.

    code: its exit code.
    last: what ssh, or the other end, said last.
    """
    if code == SSH_FAILED:
        raise JobFailed(f"{device.host}: ssh: {last}; try it by hand: ssh {device.host}")
    if code == NOT_FOUND:
        raise JobFailed(
            f"{device.host}: {' '.join(device.command)} is not there ({last}); say how it is called"
            " there with --remote-edgekit"
        )
    raise JobFailed(f"{device.host}: the agent ended with exit code {code}: {last}")


def _last_line(file: IO[bytes]) -> str:
    """Return the last line of a file that is not empty."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_WORDS))
    lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was said")
