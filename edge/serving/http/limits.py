"""What a request may be at most. Judged before anything is made of it, by the bytes that came."""

from typing import TypeVar

import msgspec
import tornado.web

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SLOW_SECONDS = 10  # a client that takes longer to send its request is cut off
MAX_BODY = 32 << 20  # bytes
MAX_HEADER = 16 << 10  # bytes
MAX_VALUES = 1 << 20  # in one body, since each becomes an object
MAX_INPUTS = 1024  # in one request
UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)  # what decoders raise
T = TypeVar("T")


def check_host(name: str) -> None:
    """Refuse a request for another host: a page in a browser must not reach us by DNS rebinding."""
    if name.rsplit(":", 1)[0].strip("[]") not in LOOPBACK:
        raise tornado.web.HTTPError(403, reason="Host must be this machine")


def decode(body: bytes, decoder: msgspec.json.Decoder[T], hint: str = "") -> T:
    """Return what a JSON body holds; raises HTTPError 400, and 413 where it holds too much.

    hint: what the body should hold; an error says nothing of what it does hold.
    """
    # A comma or a bracket may stand for one value.
    if len(body) > MAX_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise tornado.web.HTTPError(413, reason=f"a request takes at most {MAX_VALUES} values")
    try:
        return decoder.decode(body)
    except UNREADABLE:
        raise not_an_object(hint) from None


def not_an_object(hint: str = "") -> tornado.web.HTTPError:
    """Return the error for a body that is not what a call takes."""
    return tornado.web.HTTPError(
        400, reason=f"the body is not the JSON object that this call takes{hint}"
    )


def check_count(count: int) -> None:
    """Refuse a request with no input, or with too many; raises HTTPError 400."""
    if not 0 < count <= MAX_INPUTS:
        raise tornado.web.HTTPError(400, reason=f"a request takes 1 to {MAX_INPUTS} inputs")
