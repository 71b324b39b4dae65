"""The log: one line a message on standard error, as text or as JSON, with levels and a rate limit.

No line ever holds a part of an input or of an answer: a message is a fixed text with names,
versions and numbers in it. What repeats is said a few times a minute, and then how often it was
left out.
"""

import json
import logging
import os
import sys
import time
from typing import Literal, get_args

Format = Literal["text", "json"]
FORMATS: tuple[str, ...] = get_args(Format)
VARIABLE = "EDGEKIT_LOG_FORMAT"  # children write as their parent does
MOST_ALIKE = 5  # lines with one text in SECONDS
SECONDS = 60.0

_logger = logging.getLogger("edgekit")


class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"edgekit: {level}{_one_line(record.getMessage())}"


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": record.process,
            "message": _one_line(record.getMessage()),
        }
        return json.dumps(said, ensure_ascii=False, allow_nan=False)


def _one_line(text: str) -> str:
    """Return the text without control characters: a model's name must not forge a line."""
    return "".join(char if char.isprintable() else " " for char in text)


class _RateLimit(logging.Filter):
    """A filter that lets MOST_ALIKE lines of one text through in SECONDS.

    After that it says how many it left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = str(record.msg), time.monotonic()
        begun, count = self._seen.get(key, (now, 0))
        left_out = 0
        if now - begun >= SECONDS:
            begun, count, left_out = now, 0, max(0, count - MOST_ALIKE)
        self._seen[key] = (begun, count + 1)
        if count >= MOST_ALIKE:
            return False
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} lines like this one were left out)"
            record.args = ()
        return True


class _ToStandardError(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever stderr is now
    """A handler that writes to what is standard error at that moment.

    A reader that went away ends nothing.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing: logging would print the message's arguments."""


def configure(form: Format | None = None) -> None:
    """Choose the form of the lines, for this process and its children.

    form: None for what the parent chose, or else text.
    """
    chosen = form or os.environ.get(VARIABLE, "text")
    os.environ[VARIABLE] = chosen if chosen in FORMATS else "text"
    handler = _ToStandardError()
    handler.setFormatter(_JsonLine() if os.environ[VARIABLE] == "json" else _TextLine())
    handler.addFilter(_RateLimit())
    _logger.handlers[:] = [handler]
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def _log(level: int, text: str, arguments: tuple[object, ...]) -> None:
    if not any(isinstance(handler, _ToStandardError) for handler in _logger.handlers):
        configure()
    _logger.log(level, text, *arguments)


def info(text: str, *arguments: object) -> None:
    """Say what happened. text: a %-format; lines with one text count as alike."""
    _log(logging.INFO, text, arguments)


def warning(text: str, *arguments: object) -> None:
    """Say what somebody should look at, though it works for now."""
    _log(logging.WARNING, text, arguments)


def error(text: str, *arguments: object) -> None:
    """Say what does not work."""
    _log(logging.ERROR, text, arguments)
