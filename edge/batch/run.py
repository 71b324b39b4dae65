"""Offline batches that can be killed at any point and go on where they were.

Output rows go to OUT.part; a journal beside it says how many rows and bytes are durable, and what
the run is bound to. What goes into one engine call depends on row numbers alone, so a resumed run
computes the same thing.
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

from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks import Row
from edgekit.edge.tasks.row_files import read_rows
from edgekit.errors import InputError
from edgekit.files import fast_digest, lock, sync_folder, write_durably
from edgekit.nouns import Noun, Unreadable, read_json

ERROR = "error"  # the column that says why a row has no prediction


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
    checkpoint_seconds: float,
    tell: Callable[[int], None],
) -> Done:
    """Predict every row of `source` into `target`; `tell` gets the number of rows that are done.

    slot: the digest that names the model. checkpoint_seconds: how much work a crash may cost.
    Raises InputError, Busy.
    """
    names = _check(model, source, target, columns)
    bound = Bound(
        input_digest=fast_digest(source),
        slot=slot,
        columns=names,
        batch_size=model.setting.batch_size,
        kind=target.suffix.lower(),
    )
    journal_path, part = _beside(target, "journal"), _beside(target, "part")
    with lock(_beside(target, "lock"), "edgekit batch"):
        start = _resume(journal_path, part, bound, restart=restart)
        with part.open("r+b" if part.exists() else "w+b") as file:
            file.truncate(start.bytes)
            file.seek(start.bytes)
            done = _write_rows(
                model, source, start, Output(file, journal_path, checkpoint_seconds), tell
            )
        part.replace(target)
        journal_path.unlink()
        sync_folder(target.resolve().parent)
        _beside(target, "lock").unlink()  # held until here; `lock` notices when its file is gone
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
    if missing or not chosen or not model.task.takes(chosen):
        raise InputError(
            f"{source}: which column is the input? Name it with --input; columns:"
            f" {', '.join(names)}"
        )
    taken = [name for name in (*model.task.results, ERROR) if name in names]
    if taken:
        raise InputError(
            f"{source}: has a column {taken[0]!r} already, which the output adds; rename it"
        )
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
            f"{journal_path}: was begun with another input, model or column; begin anew with"
            " --restart"
        )
    return journal


class Output:
    """The file in the making, and the journal that follows what of it is durable."""

    def __init__(self, file: BinaryIO, journal_path: Path, checkpoint_seconds: float) -> None:
        self.file = file
        self._journal_path = journal_path
        self._pause = checkpoint_seconds
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._saved >= self._pause

    def save(self, bound: Bound, rows: int, errors: int) -> Journal:
        """Make everything so far durable, then say so in the journal."""
        journal = Journal(bound=bound, rows=rows, bytes=self.file.tell(), errors=errors)
        self.file.flush()
        os.fsync(self.file.fileno())
        write_durably(self._journal_path, journal.to_json())
        self._saved = time.monotonic()
        return journal


def _write_rows(
    model: Model, source: Path, start: Journal, output: Output, tell: Callable[[int], None]
) -> Journal:
    """Append the rows that are missing."""
    bound, rows, errors = start.bound, start.rows, start.errors
    names = [*next(iter(read_rows(source))), *model.task.results, ERROR]
    writer = WRITERS[bound.kind]
    if rows == 0:
        output.file.write(writer.head(names))
    todo = islice(read_rows(source), start.rows, None)
    for chunk, results in _predicted(model, source, bound, names, todo):
        for row, result in zip(chunk, results, strict=True):
            output.file.write(writer.line({**row, **result}, names))
            errors += bool(result[ERROR])
        rows += len(chunk)
        tell(rows)
        if output.is_due():
            output.save(bound, rows, errors)
    return output.save(bound, rows, errors)


def _predicted(
    model: Model, source: Path, bound: Bound, names: Sequence[str], todo: Iterator[Row]
) -> Iterator[tuple[list[Row], list[dict[str, object]]]]:
    """Chunks of rows with the columns that the output adds to each."""
    waiting: deque[tuple[list[Row], list[Any]]] = deque()

    def batches() -> Iterator[list[Any]]:
        while chunk := list(islice(todo, bound.batch_size)):
            inputs = [_input(model, row, bound.columns, names, source.parent) for row in chunk]
            waiting.append((chunk, inputs))
            yield [item for item in inputs if not isinstance(item, InputError)]

    for answers in model.attempts_of_batches(batches()):
        chunk, inputs = waiting.popleft()
        coming = iter(answers)
        yield (
            chunk,
            [
                _result(model, item, item if isinstance(item, InputError) else next(coming))
                for item in inputs
            ],
        )


def _input(
    model: Model, row: Row, columns: Sequence[str], names: Sequence[str], folder: Path
) -> Any:  # noqa: ANN401
    """The input that a row holds, or an InputError that says what is wrong with the row."""
    unknown = [name for name in row if name not in names[: -len(model.task.results) - 1]]
    missing = [name for name in columns if name not in row]
    if unknown or missing:
        return InputError(
            "has a key that the first row lacks" if unknown else f"lacks the key {missing[0]!r}"
        )
    try:
        return model.task.read(row, columns, folder)
    except InputError as error:
        return error


def _result(model: Model, value: Any, answer: np.ndarray | InputError) -> dict[str, object]:  # noqa: ANN401
    names = model.task.results
    if isinstance(answer, InputError):
        return {**dict.fromkeys(names, ""), ERROR: str(answer)}
    row = model.task.decode([value], [answer])[0].row()
    return {**dict(zip(names, row, strict=True)), ERROR: ""}


class CsvWriter:
    """RFC 4180."""

    def head(self, names: Sequence[str]) -> bytes:
        """The header."""
        return self._text(names)

    def line(self, row: Row, names: Sequence[str]) -> bytes:
        """One row, every value under its own name."""
        return self._text([row.get(name, "") for name in names])

    def _text(self, values: Sequence[object]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue().encode(errors="replace")


class JsonlWriter:
    """One JSON object a line, with the names that its row had."""

    def head(self, names: Sequence[str]) -> bytes:
        """None."""
        return b""

    def line(self, row: Row, names: Sequence[str]) -> bytes:
        """One row."""
        return json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n"


WRITERS: dict[str, CsvWriter | JsonlWriter] = {".csv": CsvWriter(), ".jsonl": JsonlWriter()}
