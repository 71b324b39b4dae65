"""Rows of a CSV, JSONL or CoNLL file, one at a time, numbered from 1 as people count them."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from edgekit import strict_json
from edgekit.edge.tasks import Row
from edgekit.errors import InputError

OTHERS = {"\t": "tab", ";": "semicolon", "|": "vertical bar"}  # that separate columns elsewhere
MAX_LINE = 16 << 20  # characters: one row is never larger than this in memory


def read_rows(path: Path) -> Iterator[Row]:
    """Read every row as a mapping from column to value; raises InputError.

    The error names the file and the row.
    """
    reader = _reader(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from reader(file, path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 at byte {error.start} of a block; save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}: not valid CSV: {error}") from None


def _reader(path: Path) -> Callable[[TextIO, Path], Iterator[Row]]:
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".conll": _conll_rows}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: unknown kind of file; known: {', '.join(readers)}")
    return readers[path.suffix.lower()]


def _csv_rows(file: TextIO, path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(file, strict=True)
    names = next(filter(None, reader), [])
    _check_separator(names, path)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: has two columns named {twice[0]!r}")
    number, blank = 0, 0  # rows so far, and the line of a blank one behind them
    for values in reader:
        if not values:
            blank = blank or reader.line_num
            continue
        if blank and len(names) == 1:
            raise InputError(
                f'{path}: line {blank} is blank: write "" for a row whose only value is empty, or'
                " remove the line"
            )
        number, blank = number + 1, 0
        if len(values) != len(names):
            raise InputError(
                f"{path}: row {number} has not {len(names)} fields, as the header says"
            )
        yield dict(zip(names, values, strict=True))


def _check_separator(names: Sequence[str], path: Path) -> None:
    """Refuse a file of which every row would be one value, with all its columns in it."""
    found = [name for letter, name in OTHERS.items() if len(names) == 1 and letter in names[0]]
    if found:
        raise InputError(
            f"{path}: its header is one column with a {found[0]} in it; the columns of a .csv are"
            " separated by commas: save it so, or rename that column"
        )


def _jsonl_rows(file: TextIO, path: Path) -> Iterator[Row]:
    number = 0
    while line := file.readline(MAX_LINE):
        if not line.strip():
            continue
        number += 1
        try:
            row: Any = strict_json.loads(line)
        except (ValueError, RecursionError):  # not JSON, or a number of thousands of digits
            row = None
        if not isinstance(row, dict):
            raise InputError(
                f"{path}: row {number} is not a JSON object (NaN, Infinity, numbers beyond 64 bits"
                " and a key that comes twice are not JSON)"
            )
        yield row


def _conll_rows(file: TextIO, path: Path) -> Iterator[Row]:
    """Read sentences: a word a line, its first column the word and its last the label.

    A blank line ends a sentence.
    """
    words: list[str] = []
    labels: list[str] = []
    for number, line in enumerate(chain(file, ["\n"]), 1):
        parts = line.split()
        if parts and parts[0] != "-DOCSTART-":
            if len(parts) < 2:
                raise InputError(
                    f"{path}: line {number} has one column; a word and its label are needed"
                )
            words.append(parts[0])
            labels.append(parts[-1])
        elif words:
            yield {"tokens": words, "label": labels}
            words, labels = [], []
