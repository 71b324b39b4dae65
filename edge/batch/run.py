"""Offline batches that can be killed at any point and go on where they were.

Output rows go to OUT.part; a journal beside it says how many of them are durable. What goes into
one engine call depends on row numbers alone, so a resumed run computes the same thing. A batch runs
in a child process of its own, which is the only one that opens the model and reads the rows.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from edgekit.digests import fast_digest
from edgekit.edge.batch.journal import Bound, Journal, Output, begin
from edgekit.edge.batch.writers import WRITERS
from edgekit.edge.model.tensor_model import Model, open_slot
from edgekit.edge.tasks import Row
from edgekit.edge.tasks.predictions import TRUNCATED
from edgekit.edge.tasks.row_files import read_rows
from edgekit.edge.worker.scheduler import Outcome, TensorScheduler
from edgekit.errors import EdgekitError, InputError, JobFailed
from edgekit.files import sync_folder
from edgekit.job import Progress, run_job
from edgekit.locks import lock
from edgekit.nouns import Noun

ERROR = "error"  # the column that says why a row has no prediction


class BatchRequest(Noun, frozen=True, kw_only=True):
    """What a batch is asked. All paths are absolute.

    slot_folder: the slot that answers. slot_sha256: of its slot.json, as the store's pointer has
    it. slot: the digest that names the model in the journal. columns: of the input; none for the
    task's own. restart: begin anew, whatever an interrupted run had done. checkpoint_seconds: how
    much work a crash may cost.
    """

    slot_folder: str
    slot_sha256: str
    slot: str
    source: str
    target: str
    columns: list[str]
    restart: bool
    checkpoint_seconds: float


class Done(Noun, frozen=True, kw_only=True):
    """What a run did: rows in the output, in error and cut, and the row that it went on from."""

    rows: int
    errors: int
    truncated: int
    resumed_at: int


def run_confined(request: BatchRequest, progress: Progress) -> Done:
    """Run a batch in a child process; raises InputError, Refused, Busy, JobFailed."""
    with tempfile.TemporaryDirectory(prefix="edgekit-batch-") as scratch:
        try:
            found = run_job(
                "edgekit.edge.batch.run:batch_job",
                msgspec.to_builtins(request),
                Path(scratch) / "log",
                progress,
                profile="batch",
            )
        except JobFailed as error:  # its log is gone by then
            raise JobFailed(f"the batch {error.reason}", error.signal) from None
    return msgspec.convert(found, Done)


def batch_job(request: object, progress: Progress) -> object:
    """Be the child process of a batch; return its Done."""
    asked = msgspec.convert(request, BatchRequest)
    source, target = Path(asked.source), Path(asked.target)
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    progress("reading", 0)
    total = sum(1 for _ in read_rows(source))
    model = open_slot(Path(asked.slot_folder), asked.slot_sha256)

    def tell(rows: int) -> None:
        progress(f"predicting, row {rows} of {total}", rows / max(total, 1))

    return msgspec.to_builtins(
        run_batch(
            model,
            asked.slot,
            source,
            target,
            asked.columns,
            restart=asked.restart,
            checkpoint_seconds=asked.checkpoint_seconds,
            tell=tell,
        )
    )


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
        results=list(model.task.results),
        batch_size=model.setting.batch_size,
        kind=target.suffix.lower(),
    )
    journal_path, part = _beside(target, "journal"), _beside(target, "part")
    with lock(_beside(target, "lock"), "edgekit batch"):
        start = begin(journal_path, part, bound, restart=restart)
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
    return Done(rows=done.rows, errors=done.errors, truncated=done.truncated, resumed_at=start.rows)


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


def _write_rows(
    model: Model, source: Path, start: Journal, output: Output, tell: Callable[[int], None]
) -> Journal:
    """Append the rows that are missing."""
    bound, done = start.bound, start
    names = [*next(iter(read_rows(source))), *model.task.results, ERROR]
    writer = WRITERS[bound.kind]
    if done.rows == 0:
        output.file.write(writer.head(names))
    todo = islice(read_rows(source), start.rows, None)
    for chunk, results in _predicted(model, source, bound, names, todo):
        for row, result in zip(chunk, results, strict=True):
            output.file.write(writer.line({**row, **result}, names))
        done = msgspec.structs.replace(
            done,
            rows=done.rows + len(chunk),
            errors=done.errors + sum(bool(result[ERROR]) for result in results),
            truncated=done.truncated + sum(bool(result.get(TRUNCATED)) for result in results),
        )
        tell(done.rows)
        if output.is_due():
            output.save(done)
    return output.save(done)


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

    with TensorScheduler(model) as scheduler:
        for answers in scheduler.in_order(batches(), model.attempt):
            chunk, inputs = waiting.popleft()
            coming = iter(answers)
            outcomes = [item if isinstance(item, InputError) else next(coming) for item in inputs]
            yield chunk, [_result(model.task.results, outcome) for outcome in outcomes]


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


def _result(names: Sequence[str], outcome: Outcome) -> dict[str, object]:
    """Return the columns that the output adds to a row; all but the error are empty beside one."""
    if isinstance(outcome, EdgekitError):
        return {**dict.fromkeys(names, ""), ERROR: str(outcome)}
    row = [*outcome.row(), *([outcome.truncated] if TRUNCATED in names else [])]
    return {**dict(zip(names, row, strict=True)), ERROR: ""}
