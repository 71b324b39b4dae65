"""Offline batches that can be killed at any point and go on where they were.

Output rows go to OUT.part; a journal beside it says how many rows and bytes are durable, and what the run is bound to.
What goes into one engine call depends on row numbers alone, so a resumed run computes the same thing.
"""

import csv
import io
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from edgekit.edge.model import Model
from edgekit.edge.rows import read_rows
from edgekit.edge.tasks import Row
from edgekit.errors import InputError
from edgekit.files import fast_digest, lock, sync_folder, write_durably
from edgekit.nouns import Noun, Unreadable, read_json

CHECKPOINT_SECONDS = 2.0
RESULTS = ("predicted_label", "predicted_score", "error")


class Bound(Noun, frozen=True, kw_only=True):
    """What a run computes; a resumed run must be the same."""

    input_digest: str
    slot: str
    columns: list[str]
    batch_size: int
    kind: str


class Journal(Noun, frozen=True, kw_only=True):
    """How far a run is."""

    bound: Bound
    rows: int
    bytes: int
    errors: int


class Done(NamedTuple):
    """What a run did."""

    rows: int
    errors: int
    resumed_at: int


def run_batch(
    model: Model,
    slot: str,
    source: Path,
    target: Path,
    columns: Sequence[str] | None,
    *,
    restart: bool,
    tell: Callable[[int], None],
) -> Done:
    """Predict every row of `source` into `target`; `tell` gets the number of rows that are done.

    slot: the digest that names the model. Raises InputError, Busy.
    """
    names = _check(model, source, target, columns)
    bound = Bound(
        input_digest=fast_digest(source), slot=slot, columns=names, batch_size=model.setting.batch_size,
        kind=target.suffix.lower(),
    )  # fmt: skip
    journal_path, part = _beside(target, "journal"), _beside(target, "part")
    with lock(_beside(target, "lock"), "edgekit batch"):
        start = _resume(journal_path, part, bound, restart=restart)
        with part.open("r+b" if part.exists() else "w+b") as file:
            file.truncate(start.bytes)
            file.seek(start.bytes)
            done = _write_rows(model, source, bound, start, file, journal_path, tell)
        part.replace(target)
        journal_path.unlink()
        sync_folder(target.resolve().parent)
        _beside(target, "lock").unlink()
    return Done(done.rows, done.errors, start.rows)


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f"{target.name}.{what}")


def _check(model: Model, source: Path, target: Path, columns: Sequence[str] | None) -> list[str]:
    """Refuse what can't end well; return the input columns."""
    if target.suffix.lower() not in WRITERS:
        raise InputError(f"{target}: unknown kind of file; known: {', '.join(WRITERS)}")
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    if target.exists():
        raise InputError(f"{target}: exists already; remove it or choose another name")
    names = list(next(iter(read_rows(source)), {}))
    if not names:
        raise InputError(f"{source}: holds no rows")
    chosen = list(columns or model.task.columns(names, "label"))
    missing = [name for name in chosen if name not in names]
    if missing or not chosen:
        raise InputError(
            f"{source}: which column is the input? Name it with --input; columns: {', '.join(names)}"
        )
    taken = [name for name in RESULTS if name in names]
    if taken:
        raise InputError(f"{source}: has a column {taken[0]!r} already, which the output adds; rename it")
    return chosen


def _resume(journal_path: Path, part: Path, bound: Bound, *, restart: bool) -> Journal:
    fresh = Journal(bound=bound, rows=0, bytes=0, errors=0)
    if restart or not journal_path.exists() or not part.exists():
        return fresh
    try:
        journal = read_json(journal_path.read_bytes(), Journal)
    except Unreadable as error:
        raise InputError(f"{journal_path}: damaged ({error}); begin anew with --restart") from None
    if journal.bound != bound:
        raise InputError(
            f"{journal_path}: was begun with another input, model or column; begin anew with --restart"
        )
    return journal


def _write_rows(
    model: Model,
    source: Path,
    bound: Bound,
    start: Journal,
    file: BinaryIO,
    journal_path: Path,
    tell: Callable[[int], None],
) -> Journal:
    """Append the rows that are missing; the journal follows what is durable."""
    writer = WRITERS[bound.kind]
    rows, errors, saved = start.rows, start.errors, time.monotonic()
    if rows == 0:
        file.write(writer.head(list(next(iter(read_rows(source)))) + list(RESULTS)))
    todo = islice(read_rows(source), start.rows, None)
    for chunk, results in _predicted(model, source, bound, todo):
        for row, result in zip(chunk, results, strict=True):
            file.write(writer.line({**row, **result}))
            errors += bool(result["error"])
        rows += len(chunk)
        tell(rows)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            _save(file, journal_path, Journal(bound=bound, rows=rows, bytes=file.tell(), errors=errors))
            saved = time.monotonic()
    end = Journal(bound=bound, rows=rows, bytes=file.tell(), errors=errors)
    _save(file, journal_path, end)
    return end


def _save(file: BinaryIO, journal_path: Path, journal: Journal) -> None:
    file.flush()
    os.fsync(file.fileno())
    write_durably(journal_path, journal.to_json())


def _predicted(
    model: Model, source: Path, bound: Bound, todo: Iterator[Row]
) -> Iterator[tuple[list[Row], list[dict[str, object]]]]:
    """Chunks of rows with the columns that the output adds to each."""
    waiting: deque[tuple[list[Row], list[InputError | None]]] = deque()

    def batches() -> Iterator[list[Any]]:
        while chunk := list(islice(todo, bound.batch_size)):
            inputs = [_input(model, row, bound.columns, source.parent) for row in chunk]
            waiting.append((chunk, [item if isinstance(item, InputError) else None for item in inputs]))
            yield [item for item in inputs if not isinstance(item, InputError)]

    for answers in model.attempts_of_batches(batches()):
        chunk, errors = waiting.popleft()
        coming = iter(answers)
        yield chunk, [_result(model, error or next(coming)) for error in errors]


def _input(model: Model, row: Row, columns: Sequence[str], folder: Path) -> Any:  # noqa: ANN401
    try:
        return model.task.read(row, columns, folder)
    except InputError as error:
        return error


def _result(model: Model, answer: np.ndarray | InputError) -> dict[str, object]:
    if isinstance(answer, InputError):
        return dict(zip(RESULTS, ("", "", str(answer)), strict=True))
    prediction = model.task.decode(answer[np.newaxis])[0]
    return dict(zip(RESULTS, (prediction.label, round(prediction.score, 6), ""), strict=True))


class CsvWriter:
    """RFC 4180."""

    def head(self, names: list[str]) -> bytes:
        return self._text(names)

    def line(self, row: Row) -> bytes:
        return self._text(list(row.values()))

    def _text(self, values: Sequence[object]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue().encode()


class JsonlWriter:
    """One JSON object a line."""

    def head(self, names: list[str]) -> bytes:
        return b""

    def line(self, row: Row) -> bytes:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"


WRITERS: dict[str, CsvWriter | JsonlWriter] = {".csv": CsvWriter(), ".jsonl": JsonlWriter()}
