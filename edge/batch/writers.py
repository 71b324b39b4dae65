"""The files that a batch writes: CSV and JSON lines.

To add one: a class like `JsonlWriter`, and its line in WRITERS.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Protocol

from edgekit.edge.tasks import Row

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def utf8(text: str) -> bytes:
    """Return a text in UTF-8, with U+FFFD for lone surrogates, which it has no bytes for.

    A row that holds one has an error beside it (see `holds_lone_surrogate`).
    """
    return LONE_SURROGATE.sub("\ufffd", text).encode()


def holds_lone_surrogate(value: object) -> bool:
    """Tell whether a value of a row holds what JSON can spell and no file in UTF-8 can hold."""
    text = (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
    )
    return not text.isascii() and LONE_SURROGATE.search(text) is not None


class Writer(Protocol):
    """How rows become the bytes of a file."""

    def head(self, names: Sequence[str]) -> bytes:
        """Return what stands before the first row. names: of the columns, in their order."""

    def line(self, row: Row, names: Sequence[str]) -> bytes:
        """Return one row."""


class CsvWriter:
    """Writes RFC 4180 with a header; true and false are spelled as in JSON."""

    def head(self, names: Sequence[str]) -> bytes:
        """Return the header."""
        return self._text(names)

    def line(self, row: Row, names: Sequence[str]) -> bytes:
        """Return one row, every value under its own name."""
        return self._text([row.get(name, "") for name in names])

    def _text(self, values: Sequence[object]) -> bytes:
        text = io.StringIO()
        spelled = [str(value).lower() if isinstance(value, bool) else value for value in values]
        csv.writer(text, lineterminator="\n").writerow(spelled)
        return utf8(text.getvalue())


class JsonlWriter:
    """Writes one JSON object a line, with the names that its row had."""

    def head(self, names: Sequence[str]) -> bytes:
        """Return nothing: a line says its own names."""
        return b""

    def line(self, row: Row, names: Sequence[str]) -> bytes:
        """Return one row."""
        return utf8(json.dumps(row, ensure_ascii=False, allow_nan=False)) + b"\n"


WRITERS: dict[str, Writer] = {".csv": CsvWriter(), ".jsonl": JsonlWriter()}
