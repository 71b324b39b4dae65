"""A first edgekit.toml from a look at a model's folder and a data file."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgekit.edge.tasks import Row, load_task
from edgekit.edge.tasks.row_files import read_rows
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.quantize.config_json import is_multi_label
from edgekit.quantize.label_column import Described, choose_label
from edgekit.quantize.source import find_hf_task, read_source
from edgekit.quantize.sources import SourceTask, checkpoint_of, source_task
from edgekit.quantize.sources.columns import Chosen
from edgekit.toml_file import toml_string

MOST_CALIBRATION = 512  # rows; a fifth of the data where there are fewer
TEMPLATE = """\
# What edgekit builds, from what, for what, and under which limits. Paths are relative to this file.
# Build it with: edgekit build {name}

# Among the variants that keep every limit: "latency" (p50 at batch 1), "throughput" (samples a
# second), "energy", "size" or "accuracy".
objective = "latency"

[model]
name = {model}
version = "0.1.0"
source = {source}
task = {task}
# max_length = 128            # tokens. Default: what the model can take.

[data]
calibration = {calibration}   # {calibration_rows} rows: quantizing looks at these
evaluation = {evaluation}     # {evaluation_rows} rows: accuracy is measured on these
# input: {input_why}
input = {input}
# label: {label_why}
label = {label}
# on_too_long = "refuse"      # texts of more tokens; or "flag": cut, and marked so; or "window",
                              # the default of taggers: read in overlapping windows
# labels_are = "names"        # or "indices from 0", "indices from 1": where both would do
# calibration_samples = 256   # of the calibration rows, every label in its share
# release_rows = [1, 2]       # evaluation rows that may travel in bundles as golden samples.
                              # Default: none; golden samples are made up

[target]
device = "this"               # or a name from: edgekit targets
# recipes = ["onnx-fp32"]     # from: edgekit recipes. Default: what suits the device

[limits]
max_accuracy_drop = 0.01      # absolute; compared with the upper bound of the measured drop
# confidence = 0.95           # of that bound, over all variants together
# on_too_few = "accept"       # where the measured drop is small enough and the rows are too few to
                              # be sure. Default: reject
# allow_weak_reference = true # build even if the reference is no better than guessing
# min_metric = 0.9            # whatever the reference has; and by class: [limits.min_recall] and
                              # [limits.min_precision]
# p99_ms = 50                 # one input at a time
# memory_mb = 1000            # the process's own peak
"""


class FirstSpec(NamedTuple):
    """What was written, and what decided.

    path: of the spec.
    input, label: the columns that it names.
    """

    path: Path
    input: Chosen
    label: Chosen


def write_first_spec(model: Path, data: Path, calibration: Path | None, out: Path) -> FirstSpec:
    """Write `out`, and two parts of `data` beside it if there is no calibration file.

    Raises InputError.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; remove it or choose another name with --out")
    described = _look_at_model(model)
    task = source_task(described.name)
    rows = list(read_rows(data))
    if not rows:
        raise InputError(f"{data}: holds no rows")
    label = choose_label(data, rows, described, _features(model, task, list(rows[0])))
    inputs = task.columns(model, rows, label.columns[0])
    _check_rows(data, rows, [*inputs.columns, *label.columns])
    for path in filter(None, (model, data, calibration)):
        toml_string(_relative(path, out.parent))  # refused before anything is written
    evaluation, evaluation_rows = data, len(rows)
    if calibration is None:
        calibration, evaluation, evaluation_rows = _split(
            data, rows, inputs.columns, label.columns[0], out.parent, task
        )
    calibration_rows = sum(1 for _ in read_rows(calibration))
    text = TEMPLATE.format(
        name=out.name if out.name.isprintable() else toml_string(out.name),
        model=toml_string(_name(model)),
        source=toml_string(_relative(model, out.parent)),
        task=toml_string(described.name),
        calibration=toml_string(_relative(calibration, out.parent)),
        calibration_rows=calibration_rows,
        evaluation=toml_string(_relative(evaluation, out.parent)),
        evaluation_rows=evaluation_rows,
        input=_toml_strings(inputs.columns),
        input_why=explained(inputs),
        label=toml_string(label.columns[0]),
        label_why=explained(label),
    )
    write_durably(out, text.encode())
    return FirstSpec(out, inputs, label)


def explained(chosen: Chosen) -> str:
    """Say why columns were chosen, in one line without a character that a comment can't hold."""
    return f"{chosen.why}; runner-up: {chosen.runner_up}"


def _toml_strings(names: Sequence[str]) -> str:
    written = [toml_string(name) for name in names]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def _features(model: Path, task: SourceTask, names: list[str]) -> list[str]:
    """Return the columns that task.json says are inputs, whatever is in them."""
    return load_task(model).columns(names, "") if task.kind == "table" else []


def _check_rows(data: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    for number, row in enumerate(rows, 1):
        missing = [name for name in columns if name not in row]
        if missing:
            raise InputError(f"{data}: row {number} has no column {missing[0]!r}")


def _look_at_model(model: Path) -> Described:
    """Find the task and the labels."""
    if not model.is_dir():
        raise InputError(
            f"{model}: no such folder; MODEL is a Hugging Face folder, or one with model.onnx and"
            " task.json"
        )
    if (model / "config.json").is_file():
        name = find_hf_task(model)
        labels = tuple(checkpoint_of(name).labels(model))
        found = Described(name, labels, not is_multi_label(model))
    elif (model / "task.json").is_file():
        task = load_task(model)
        found = Described(task.name, task.labels, getattr(task, "is_exclusive", True))
    else:
        raise InputError(
            f"{model}: neither config.json (Hugging Face) nor task.json (beside a model.onnx) in it"
        )
    read_source(model, found.name)
    return found


def _split(
    data: Path,
    rows: Sequence[Row],
    columns: Sequence[str],
    label: str,
    folder: Path,
    task: SourceTask,
) -> tuple[Path, Path, int]:
    """Write two files beside the spec, no input in both, every label in its share."""
    if task.no_split:
        raise InputError(f"{data}: {task.no_split}")
    count = min(MOST_CALIBRATION, len(rows) // 5)
    if count == 0:
        raise InputError(
            f"{data}: {len(rows)} rows are too few to split; give a second file with --calibration"
        )
    order = np.random.default_rng(0).permutation(len(rows))
    chosen: set[int] = set()
    strata = [_stratum(row[label]) for row in rows]
    for name in sorted(set(strata)):
        members = [index for index in order if strata[index] == name]
        chosen.update(members[: round(len(members) * count / len(rows))])
    taken = {tuple(str(rows[index][name]) for name in columns) for index in chosen}
    halves: tuple[list[Row], list[Row]] = ([], [])
    for index, row in enumerate(rows):
        # A text that comes twice goes to calibration with its twin.
        is_taken = index in chosen or tuple(str(row[name]) for name in columns) in taken
        halves[0 if is_taken else 1].append(task.anchored(row, columns, data.parent))
    paths = (folder / "calibration.csv", folder / "evaluation.csv")
    for path in paths:
        if path.exists():
            raise InputError(
                f"{path}: exists already, and {data} would be split into it; use --calibration or"
                " another --out"
            )
    if not all(halves):
        raise InputError(
            f"{data}: too few distinct rows to split; give a second file with --calibration"
        )
    for path, half in zip(paths, halves, strict=True):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in half)
        try:
            content = text.getvalue().encode()
        except UnicodeEncodeError:
            raise InputError(f"{data}: holds half a character (a lone surrogate)") from None
        write_durably(path, content)
    return (*paths, len(halves[1]))


def _stratum(label: object) -> str:
    """Name the group of a row: those with the same label, or set of labels, belong together."""
    return str(sorted(set(map(str, label)))) if isinstance(label, list) else str(label)


def _cell(value: object) -> object:
    """Write a list as a JSON array, which is its form in a CSV."""
    return (
        json.dumps(value, ensure_ascii=False, allow_nan=False) if isinstance(value, list) else value
    )


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _name(model: Path) -> str:
    letters = [
        char if char.isascii() and char.isalnum() else "-" for char in model.resolve().name.lower()
    ]
    return "".join(letters).strip("-")[:60] or "model"
