"""A first edgekit.toml from a look at a model's folder and a data file."""

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.edge.tasks import Row, load_task
from edgekit.edge.tasks.row_files import read_rows
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.quantize.source import find_hf_task, read_source
from edgekit.quantize.sources import SourceTask, checkpoint_of, source_task

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
input = {input}
label = {label}
# on_too_long = "refuse"      # texts of more tokens; or "flag": cut, and marked so; or "window",
                              # the default of taggers: read in overlapping windows
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
# min_metric = 0.9            # whatever the reference has; and by class: [limits.min_recall] and
                              # [limits.min_precision]
# p99_ms = 50                 # one input at a time
# memory_mb = 1000            # the process's own peak
"""


def write_first_spec(model: Path, data: Path, calibration: Path | None, out: Path) -> Path:
    """Write `out`, and two parts of `data` beside it if there is no calibration file.

    Raises InputError.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; remove it or choose another name with --out")
    name, labels = _look_at_model(model)
    task = source_task(name)
    rows = list(read_rows(data))
    if not rows:
        raise InputError(f"{data}: holds no rows")
    label = _label_column(data, rows, labels)
    columns = task.columns(model, rows, label)
    evaluation, evaluation_rows = data, len(rows)
    if calibration is None:
        calibration, evaluation, evaluation_rows = _split(
            data, rows, columns, label, out.parent, task
        )
    calibration_rows = sum(1 for _ in read_rows(calibration))
    text = TEMPLATE.format(
        name=out.name,
        model=json.dumps(_name(model)),
        source=json.dumps(_relative(model, out.parent)),
        task=json.dumps(name),
        calibration=json.dumps(_relative(calibration, out.parent)),
        calibration_rows=calibration_rows,
        evaluation=json.dumps(_relative(evaluation, out.parent)),
        evaluation_rows=evaluation_rows,
        input=json.dumps(columns[0] if len(columns) == 1 else columns),
        label=json.dumps(label),
    )
    write_durably(out, text.encode())
    return out


def _look_at_model(model: Path) -> tuple[str, list[str]]:
    """Find the name of the task and the labels."""
    if not model.is_dir():
        raise InputError(
            f"{model}: no such folder; MODEL is a Hugging Face folder, or one with model.onnx and"
            " task.json"
        )
    if (model / "config.json").is_file():
        task = find_hf_task(model)
        labels = checkpoint_of(task).labels(model)
    elif (model / "task.json").is_file():
        described = load_task(model)
        task, labels = described.name, list(described.labels)
    else:
        raise InputError(
            f"{model}: neither config.json (Hugging Face) nor task.json (beside a model.onnx) in it"
        )
    read_source(model, task)
    return task, labels


def _label_column(data: Path, rows: Sequence[Row], labels: Sequence[str]) -> str:
    known = set(labels) | {str(index) for index in range(len(labels))}
    for name in ("label", "labels", "score", *rows[0]):
        if name in rows[0] and all(_is_label(row.get(name), known) for row in rows):
            return name
    wanted = (
        f"only labels of the model, such as {labels[0]!r}"
        if labels
        else "a number for how alike two texts are"
    )
    raise InputError(f"{data}: no column holds {wanted}; columns: {', '.join(rows[0])}")


def _is_label(value: object, known: set[str]) -> bool:
    """Tell whether a value is a label of the model, or several, as a list or between commas.

    Any number is one where the model has none.
    """
    text = str(value).strip()
    if text in known:
        return True
    if not known:
        return text.replace(".", "", 1).replace("-", "", 1).isdecimal()
    if text.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
    several = value if isinstance(value, list) else text.split(",")
    return all(str(item).strip() in known for item in several)


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
        write_durably(path, text.getvalue().encode())
    return (*paths, len(halves[1]))


def _stratum(label: object) -> str:
    """Name the group of a row: those with the same label, or set of labels, belong together."""
    return str(sorted(set(map(str, label)))) if isinstance(label, list) else str(label)


def _cell(value: object) -> object:
    """Write a list as a JSON array, which is its form in a CSV."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _name(model: Path) -> str:
    letters = [
        char if char.isascii() and char.isalnum() else "-" for char in model.resolve().name.lower()
    ]
    return "".join(letters).strip("-")[:60] or "model"
