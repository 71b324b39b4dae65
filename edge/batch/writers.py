"""The files that a batch writes: CSV and JSON lines.

To add one: a class like `JsonlWriter`, and its line in WRITERS.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Protocol

from edgekit.edge.tasks import Row


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
        return text.getvalue().encode(errors="replace")


class JsonlWriter:
    """Writes one JSON object a line, with the names that its row had."""

    def head(self, names: Sequence[str]) -> bytes:
        """Return nothing: a line says its own names."""
        return b""

    def line(self, row: Row, names: Sequence[str]) -> bytes:
        """Return one row."""
        return json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n"


WRITERS: dict[str, Writer] = {".csv": CsvWriter(), ".jsonl": JsonlWriter()}
