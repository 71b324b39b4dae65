"""Dataset: a labelled file, read whole and checked before anything is built from it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.edge.rows import read_rows
from edgekit.edge.tasks import Row, Task
from edgekit.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Inputs as the task reads them, with the index of each one's label. Row numbers start at 1."""

    path: Path
    sha256: str
    inputs: list[Any]
    labels: np.ndarray  # int64 [samples]

    def __len__(self) -> int:
        return len(self.inputs)

    def without(self, indices: Sequence[int]) -> "Dataset":
        """All but these."""
        left_out = set(indices)
        keep = [index for index in range(len(self)) if index not in left_out]
        return replace(self, inputs=[self.inputs[index] for index in keep], labels=self.labels[keep])

    def sample(self, count: int, seed: int = 0) -> list[Any]:
        """`count` inputs, drawn so that every label keeps its share; all of them where there are fewer."""
        if count >= len(self):
            return list(self.inputs)
        random = np.random.default_rng(seed)
        order = random.permutation(len(self))
        # Rank within its own label, scaled to 0..1: the smallest ranks are a stratified sample.
        shares = np.empty(len(self))
        for label in np.unique(self.labels):
            members = order[self.labels[order] == label]
            shares[members] = (np.arange(len(members)) + random.random()) / len(members)
        return [self.inputs[index] for index in sorted(np.argsort(shares, kind="stable")[:count])]


def read_dataset(path: Path, task: Task, columns: Sequence[str], label: str) -> Dataset:
    """Read a CSV or JSONL file; raises InputError that names the file, and the row or the column."""
    inputs: list[Any] = []
    labels: list[int] = []
    for number, row in enumerate(read_rows(path), 1):
        missing = [name for name in columns if name not in row]
        if missing:
            raise InputError(
                f"{path}: row {number} has no column {missing[0]!r} (data.input); it has: {', '.join(row)}"
            )
        labels.append(_label(path, number, row, label, task))
        try:
            inputs.append(task.read(row, columns, path.parent))
        except InputError as error:
            raise InputError(f"{path}: row {number}: {error}") from None
    if not inputs:
        raise InputError(f"{path}: holds no rows; it needs at least one labelled sample")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dataset(
        path=path, sha256=f"sha256:{digest}", inputs=inputs, labels=np.array(labels, dtype=np.int64)
    )


def _label(path: Path, number: int, row: Row, label: str, task: Task) -> int:
    if label not in row:
        raise InputError(
            f"{path}: row {number} has no column {label!r} (data.label); columns: {', '.join(row)}"
        )
    index = task.label_index(row[label])
    if index is None:
        known = ", ".join(task.labels[:5]) + (", ..." if len(task.labels) > 5 else "")
        raise InputError(
            f"{path}: row {number}: the model has no label {str(row[label])[:60]!r}; it has: {known}"
        )
    return index


def input_columns(path: Path, task: Task, columns: str | Sequence[str] | None, label: str) -> list[str]:
    """The columns that hold the input: those the user named, or the task's own; raises InputError."""
    names = list(next(iter(read_rows(path)), {}))
    if not names:
        raise InputError(f"{path}: holds no rows; it needs at least one labelled sample")
    chosen = [columns] if isinstance(columns, str) else list(columns or task.columns(names, label))
    if not chosen:
        raise InputError(f"{path}: which column is the input? Set data.input to one of: {', '.join(names)}")
    return chosen


def check_disjoint(calibration: Dataset, evaluation: Dataset) -> list[int]:
    """Evaluation data must reach no recipe.

    Raises InputError that names the rows if the two files share one. Returns the indices of calibration inputs that
    differ from an evaluation input in white space or case only: the caller leaves them out.
    """
    seen = {_exact(value): number for number, value in enumerate(evaluation.inputs, 1)}
    for number, value in enumerate(calibration.inputs, 1):
        if twin := seen.get(_exact(value)):
            raise InputError(
                f"{calibration.path}: row {number} is also row {twin} of {evaluation.path}; "
                "calibration and evaluation must not share a row"
            )
    near = {_loose(value) for value in evaluation.inputs}
    return [index for index, value in enumerate(calibration.inputs) if _loose(value) in near]


def _exact(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _loose(value: object) -> object:
    return " ".join(value.split()).casefold() if isinstance(value, str) else _exact(value)
