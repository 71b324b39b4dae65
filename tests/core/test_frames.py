"""The framing between our processes: greetings, pieces, ends, nonsense; and errors as records."""

import asyncio
import errno
import io

import msgspec
import pytest

from edgekit import __version__, errors
from edgekit.errors import EdgekitError, InputError, JobFailed
from edgekit.frames import (
    MAX_FRAME,
    MAX_PREAMBLE,
    Garbled,
    Messages,
    Peer,
    greeting,
    read_greeting,
    read_greeting_async,
)
from edgekit.problems import KINDS, Problem, error_of, problem_of


class Word(msgspec.Struct, frozen=True, tag="word"):
    text: str


class Number(msgspec.Struct, frozen=True, tag="number"):
    value: int


MESSAGES: Messages[Word | Number] = Messages(Word | Number)


class Dripping(io.RawIOBase):
    """A stream that gives one byte a call, as a slow link does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1))


def test_frames_come_out_as_they_went_in() -> None:
    data = MESSAGES.pack(Word("a")) + MESSAGES.pack(Number(7))
    for stream in (io.BytesIO(data), Dripping(data)):
        assert MESSAGES.read(stream) == Word("a")  # type: ignore[arg-type]
        assert MESSAGES.read(stream) == Number(7)  # type: ignore[arg-type]
        assert MESSAGES.read(stream) is None  # type: ignore[arg-type]


def test_a_frame_that_is_cut_is_the_end() -> None:
    data = MESSAGES.pack(Word("cut short"))
    for size in range(len(data)):
        assert MESSAGES.read(io.BytesIO(data[:size])) is None


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x00\x02{}",
        Messages[object](object).pack({"type": "other"}),
        Messages[object](object).pack({"type": "number", "value": "text"}),
    ],
    ids=["too long", "no MessagePack", "JSON", "another message", "a wrong type"],
)
def test_nonsense_is_garbled(data: bytes) -> None:
    with pytest.raises(Garbled):
        MESSAGES.read(io.BytesIO(data))


def test_what_stands_before_the_greeting_is_passed_over() -> None:
    stream = io.BytesIO(b"Welcome to box 7\nyou have mail\n" + greeting() + b"rest")
    assert read_greeting(stream) == Peer(1, __version__)
    assert stream.read() == b"rest"
    assert read_greeting(io.BytesIO(b"Welcome\n")) is None
    with pytest.raises(Garbled, match="no greeting came"):
        read_greeting(io.BytesIO(b"yes\n" * MAX_PREAMBLE))


def test_another_version_of_the_frames_names_both_versions() -> None:
    with pytest.raises(Garbled, match=rf"edgekit 9\.1\.0 .* version 2 .* {__version__}"):
        read_greeting(io.BytesIO(b"edgekit-frames 2 9.1.0\n"))

    async def read() -> Peer:
        reader = asyncio.StreamReader()
        reader.feed_data(b"edgekit-frames 2 9.1.0\n")
        return await read_greeting_async(reader)

    with pytest.raises(Garbled, match="use the same edgekit on both sides"):
        asyncio.run(read())


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_error_of_ours_crosses_as_itself(kind: type[EdgekitError]) -> None:
    problem = problem_of(kind("row 3: no"))
    assert problem is not None
    back = error_of(msgspec.msgpack.decode(msgspec.msgpack.encode(problem), type=Problem))
    assert type(back) is kind
    assert str(back) == "row 3: no"


def test_all_errors_stand_in_one_module() -> None:
    found = set()
    waiting = [EdgekitError]
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting += kind.__subclasses__()
    assert {kind.__module__ for kind in found} == {errors.__name__}


def test_problems_of_other_kinds() -> None:
    full = problem_of(OSError(errno.ENOSPC, "No space left on device", "/some/file"))
    assert full is not None
    back = error_of(full)
    assert isinstance(back, OSError)
    assert (back.errno, back.filename) == (errno.ENOSPC, "/some/file")
    assert problem_of(ValueError("theirs")) is None
    unknown = error_of(Problem(kind="FromTheFuture", message="new"), "box")
    assert type(unknown) is EdgekitError
    assert str(unknown) == "box: new"
    failed = problem_of(JobFailed("crashed", "SIGSEGV"))
    assert failed is not None
    assert isinstance(error_of(failed, "box"), JobFailed)
    assert str(error_of(Problem(kind="InputError", message="a"), "box")) == "box: a"
    assert isinstance(error_of(Problem(kind="InputError", message="a")), InputError)
