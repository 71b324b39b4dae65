"""Frames between the front and a worker: four bytes of length, then MessagePack. Both ends are
ours.
"""

from typing import Any

import msgspec

from edgekit.edge.model.health import Health
from edgekit.edge.tasks.predictions import Prediction

MAX_FRAME = 256 << 20
HEADER = 4


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """A worker's first word: its model is loaded and has answered."""

    task: str
    labels: list[str]
    tensor: tuple[str, list[int]]
    outputs: list[dict[str, Any]]  # name, datatype and shape of each output tensor
    engine: str
    variant: str
    streams: int  # requests that it answers side by side


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Inputs in the task's wire form, as the client sent them; nothing has looked at them yet."""

    id: int
    inputs: list[Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """One prediction for each input."""

    id: int
    predictions: list[Prediction]


class Problem(msgspec.Struct, frozen=True, kw_only=True, tag="problem"):
    """Why there is no answer. `message` never holds a part of the input."""

    id: int
    is_input: bool
    message: str


class Check(msgspec.Struct, frozen=True, kw_only=True, tag="check"):
    """Answer the golden samples again."""

    id: int


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag="checked"):
    """How the golden samples were answered."""

    id: int
    health: Health


Frame = Hello | Ask | Answer | Problem | Check | Checked
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def pack_frame(frame: Frame) -> bytes:
    """Header and body."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(HEADER, "big") + body


def body_size(header: bytes) -> int:
    """The size of the body that follows a header."""
    size = int.from_bytes(header, "big")
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    return size


def unpack_frame(body: bytes) -> Frame:
    """The frame that a body holds."""
    frame: Frame = _decoder.decode(body)
    return frame
