"""Datasets: labelled files, read whole and checked before anything is built from them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.edge.tasks import Row, Task
from edgekit.edge.tasks.row_files import read_rows
from edgekit.edge.tasks.text import TokenizerTask
from edgekit.errors import InputError
from edgekit.profiles.evaluations import Truth, evaluation_of


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Inputs as the task reads them, with what is right for each row. Row numbers start at 1.

    path: the file.
    sha256: of the file.
    inputs: `width` of them for each row, one row's beside each other.
    truths: what is right, one for each row.
    width: inputs of a row; two where the rows are pairs of texts.
    """

    path: Path
    sha256: str
    inputs: list[Any]
    truths: list[Truth]
    width: int = 1

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.truths)

    def rows(self) -> list[list[Any]]:
        """Return the inputs of each row."""
        return [
            self.inputs[start : start + self.width]
            for start in range(0, len(self.inputs), self.width)
        ]

    def take(self, indices: Sequence[int]) -> "Dataset":
        """Return a dataset of these rows."""
        rows = self.rows()
        return replace(
            self,
            inputs=[value for index in indices for value in rows[index]],
            truths=[self.truths[index] for index in indices],
        )

    def without(self, indices: Sequence[int]) -> "Dataset":
        """Return a dataset of all rows but these."""
        left_out = set(indices)
        return self.take([index for index in range(len(self)) if index not in left_out])

    def split(self, count: int, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Draw `count` rows so that every label keeps its share; return them, and the rest.

        All where there are fewer.
        """
        if count >= len(self):
            return self, self.take([])
        random = np.random.default_rng(seed)
        strata = _strata(self.truths)
        order = random.permutation(len(self))
        # Rank within its own stratum, scaled to 0..1: the smallest ranks are a stratified sample.
        shares = np.empty(len(self))
        for stratum in range(max(strata) + 1):
            members = order[np.array(strata)[order] == stratum]
            shares[members] = (np.arange(len(members)) + random.random()) / len(members)
        ranked = np.argsort(shares, kind="stable")
        return self.take(sorted(ranked[:count])), self.take(sorted(ranked[count:]))

    def digest(self) -> str:
        """Hash the inputs, in their order: an artifact that was calibrated on them records it."""
        digest = hashlib.sha256()
        for value in self.inputs:
            data = (
                value
                if isinstance(value, bytes)
                else repr(_exact(value)).encode(errors="surrogatepass")
            )
            digest.update(len(data).to_bytes(8, "big") + data)
        return f"sha256:{digest.hexdigest()}"


def _strata(truths: Sequence[Truth]) -> list[int]:
    """Number the rows: equal numbers have the same label, or the same set of labels."""
    keys = [tuple(sorted(set(truth))) if isinstance(truth, tuple) else truth for truth in truths]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]


def read_dataset(path: Path, task: Task[Any], columns: Sequence[str], label: str) -> Dataset:
    """Read a CSV, JSONL or CoNLL file with labels; raises InputError.

    The error names the file, and the row or the column.
    """
    inputs: list[Any] = []
    truths: list[Truth] = []
    evaluation = evaluation_of(task)
    for number, row in enumerate(read_rows(path), 1):
        for name, key in (*((name, "data.input") for name in columns), (label, "data.label")):
            if name not in row:
                known = ", ".join(row)
                raise InputError(
                    f"{path}: row {number} has no column {name!r} ({key}); columns: {known}"
                )
        try:
            found = list(_inputs(row, task, evaluation.inputs_per_row, columns, path.parent))
            truths.append(evaluation.truth(row[label], found[0]))
        except InputError as error:
            raise InputError(f"{path}: row {number}: {error}") from None
        inputs.extend(found)
    if not truths:
        raise InputError(f"{path}: holds no rows; it needs at least one labelled sample")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dataset(
        path=path,
        sha256=f"sha256:{digest}",
        inputs=inputs,
        truths=truths,
        width=evaluation.inputs_per_row,
    )


def read_inputs(path: Path, task: Task[Any], columns: Sequence[str]) -> list[Any]:
    """Read a file's inputs, labelled or not; raises InputError that names file and row."""
    inputs: list[Any] = []
    width = evaluation_of(task).inputs_per_row
    for number, row in enumerate(read_rows(path), 1):
        missing = [name for name in columns if name not in row]
        if missing:
            raise InputError(
                f"{path}: row {number} has no column {missing[0]!r} (--input); columns:"
                f" {', '.join(row)}"
            )
        try:
            inputs.extend(_inputs(row, task, width, columns, path.parent))
        except InputError as error:
            raise InputError(f"{path}: row {number}: {error}") from None
    return inputs


def _inputs(
    row: Row, task: Task[Any], width: int, columns: Sequence[str], folder: Path
) -> Iterator[Any]:
    """Read the inputs of one row: one, or `width` in a column each."""
    if width == 1:
        yield task.read(row, columns, folder)
        return
    if len(columns) != width:
        raise InputError(
            f"{task.name} is measured on pairs: data.input must name two columns, not"
            f" {len(columns)}"
        )
    for name in columns:
        yield task.read(row, [name], folder)


def refused_rows(task: Task[Any], rows: Sequence[Sequence[Any]]) -> dict[int, str]:
    """Return the rows that a task refuses only when it has made tokens of them, and why.

    They are texts that are longer than the spec lets them be, or of which no token is left.
    """
    found: dict[int, str] = {}
    if not isinstance(task, TokenizerTask) or not task.may_refuse:
        return found
    for index, row in enumerate(rows):
        try:
            task.encode(row)
        except InputError as error:
            found[index] = str(error)
    return found


def input_columns(
    path: Path, task: Task[Any], columns: str | Sequence[str] | None, label: str
) -> list[str]:
    """Choose the columns that hold the input; raises InputError.

    Those that the user named, or else those that the task's evaluation knows by their names.
    """
    names = list(next(iter(read_rows(path)), {}))
    if not names:
        raise InputError(f"{path}: holds no rows; it needs at least one labelled sample")
    chosen = (
        [columns]
        if isinstance(columns, str)
        else list(columns or evaluation_of(task).columns(names, label))
    )
    if not chosen:
        raise InputError(
            f"{path}: which column is the input? Set data.input to one of: {', '.join(names)}"
        )
    return chosen


def check_disjoint(calibration: Dataset, evaluation: Dataset) -> list[int]:
    """Make sure that evaluation data reaches no recipe.

    Raises InputError that names the rows if the two files share an input. Returns the indices of
    calibration rows that hold an evaluation input but for white space or case: the caller leaves
    them out.
    """
    seen = {
        _exact(value): index // evaluation.width + 1
        for index, value in enumerate(evaluation.inputs)
    }
    for index, value in enumerate(calibration.inputs):
        if twin := seen.get(_exact(value)):
            raise InputError(
                f"{calibration.path}: row {index // calibration.width + 1} is also row {twin} of"
                f" {evaluation.path}; calibration and evaluation must not share an input"
            )
    near = {_loose(value) for value in evaluation.inputs}
    return [
        index
        for index, row in enumerate(calibration.rows())
        if any(_loose(value) in near for value in row)
    ]


def _exact(value: object) -> Any:  # noqa: ANN401 - something that can be a key
    return tuple(value) if isinstance(value, list) else value


def _loose(value: object) -> object:
    text = value if isinstance(value, str) else getattr(value, "text", None)
    return " ".join(text.split()).casefold() if isinstance(text, str) else _exact(value)


def shuffled(inputs: Sequence[Any]) -> list[Any]:
    """Put the inputs into one random order for all variants.

    A file may be sorted by label or by length.
    """
    return [inputs[index] for index in np.random.default_rng(0).permutation(len(inputs))]
