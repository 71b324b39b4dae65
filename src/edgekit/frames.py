"""Messages between our own processes: a greeting line, then length-prefixed MessagePack.

Jobs, workers and the agent at the other end of SSH speak this. The greeting names the framing's
version and edgekit's own: a server that runs on while edgekit is updated starts workers of the new
version, and another machine may have any. What stands before the greeting (a shell's words) is
passed over.

    pipe.write(greeting()); pipe.write(MESSAGES.pack(Progress(what="copying", share=0.5)))
    read_greeting(pipe); while (frame := MESSAGES.read(pipe)) is not None: ...
"""

import asyncio
import re
from typing import BinaryIO, Generic, NamedTuple, TypeVar

import msgspec

from edgekit import __version__

VERSION = 1
HEADER = 4  # bytes
MAX_FRAME = 256 << 20  # bytes
MAX_PREAMBLE = 64 << 10  # bytes that may stand before the greeting
GREETING = re.compile(rb"edgekit-frames (\d{1,9}) ([0-9A-Za-z.+-]{1,64})\n\Z")
T = TypeVar("T")


class Garbled(ValueError):
    """Bytes that no edgekit wrote, or another version of it."""


class Peer(NamedTuple):
    """Who speaks at the other end: the version of its framing, and of its edgekit."""

    framing: int
    edgekit: str


def greeting() -> bytes:
    """Return the first line that each end writes."""
    return f"edgekit-frames {VERSION} {__version__}\n".encode()


def read_greeting(stream: BinaryIO) -> Peer | None:
    """Read up to the other end's greeting; None where the stream ends before it. Raises Garbled."""
    left = MAX_PREAMBLE
    while line := stream.readline(left):
        if peer := _peer(line):
            return peer
        left -= len(line)
        if left <= 0:
            raise Garbled("no greeting came")
    return None


async def read_greeting_async(reader: asyncio.StreamReader) -> Peer:
    """Read the other end's first line; raises Garbled, asyncio.IncompleteReadError."""
    line = await reader.readuntil(b"\n")
    peer = _peer(line)
    if peer is None:
        raise Garbled("no greeting came")
    return peer


def _peer(line: bytes) -> Peer | None:
    found = GREETING.search(line)
    if found is None:
        return None
    peer = Peer(int(found[1]), found[2].decode())
    if peer.framing != VERSION:
        raise Garbled(
            f"edgekit {peer.edgekit} speaks version {peer.framing} of the frames, and this one, "
            f"{__version__}, version {VERSION}; use the same edgekit on both sides"
        )
    return peer


class Messages(Generic[T]):
    """Packs and unpacks the frames of one conversation.

    kinds: a union of tagged msgspec structs.
    """

    def __init__(self, kinds: object) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kinds)

    def pack(self, frame: T) -> bytes:
        """Return a frame's header and body."""
        body = self._encoder.encode(frame)
        return len(body).to_bytes(HEADER, "big") + body

    def unpack(self, body: bytes) -> T:
        """Return the frame that a body holds; raises Garbled."""
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled(f"not a message of this conversation: {error}") from None

    def read(self, stream: BinaryIO) -> T | None:
        """Read the next frame; None where the stream ends, even within one. Raises Garbled."""
        header = _exactly(stream, HEADER)
        if len(header) < HEADER:
            return None
        size = body_size(header)
        body = _exactly(stream, size)
        return self.unpack(body) if len(body) == size else None

    async def read_async(self, reader: asyncio.StreamReader) -> T:
        """Read the next frame; raises asyncio.IncompleteReadError at the end, Garbled."""
        header = await reader.readexactly(HEADER)
        return self.unpack(await reader.readexactly(body_size(header)))


def body_size(header: bytes) -> int:
    """Return the size in bytes of the body that follows a header; raises Garbled."""
    size = int.from_bytes(header, "big")
    if size > MAX_FRAME:
        raise Garbled(f"a frame of {size} bytes")
    return size


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes, fewer only at the stream's end: a stream may give them in pieces."""
    data = stream.read(size) or b""
    if len(data) in (0, size):
        return data
    pieces = bytearray(data)
    while len(pieces) < size and (piece := stream.read(size - len(pieces))):
        pieces += piece
    return bytes(pieces)
