"""Answers that the user's own environment gave: `[model] reference_answers`, read and checked.

A script that `edgekit reference-script` prints makes the file where the model was trained. It names
the weights and the data files by digest, so that answers to something else are refused.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgekit.edge.tasks import Task
from edgekit.errors import InputError
from edgekit.profiles.data import Dataset
from edgekit.quantize.source import Source

FORMAT = 1
KEY = "model.reference_answers"
UNREADABLE = (
    OSError,
    AttributeError,  # a single array
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    msgspec.MsgspecError,
)


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the script says of its answers.

    format: of the file.
    task: what the model does.
    labels: what an answer's numbers stand for; empty for vectors.
    library: the package that answered.
    versions: of the packages that had a say.
    longest: where inputs were cut, in tokens.
    padding_side, truncation_side: of the tokenizer.
    weights: sha256 of each safetensors file, by its name.
    columns: of the data files, that hold the inputs.
    files: sha256 of each data file.
    """

    format: int
    task: str
    labels: list[str]
    library: str
    versions: dict[str, str]
    longest: int
    padding_side: str
    truncation_side: str
    weights: dict[str, str]
    columns: list[str]
    files: list[str]


@dataclass(frozen=True)
class Rows:
    """What the library made of one data file.

    answers: one for each input (see Task); NaN for a word without a token.
    ids: the tokens of each input, as they were cut.
    is_cut: of each input.
    """

    answers: list[np.ndarray]
    ids: list[np.ndarray]
    is_cut: list[bool]


class GivenAnswers:
    """The answers of a file whose weights, labels and columns are those of the build."""

    def __init__(self, path: Path, source: Source, task: Task[object], columns: list[str]) -> None:
        self._path, self._task = path, task
        try:
            with path.open("rb") as file:
                held = np.load(file, allow_pickle=False)
                self._arrays = {name: held[name] for name in held.files}
            about = msgspec.json.decode(str(self._arrays.pop("about")), type=About)
        except UNREADABLE as error:
            raise InputError(
                f"{path}: not what the script of edgekit reference-script writes: {error}"
            ) from None
        self.about = about
        weights = {
            file.path: file.sha256.removeprefix("sha256:")
            for file in source.files
            if "/" not in file.path and file.path.endswith(".safetensors")
        }
        for found, wanted, what in (
            (about.format, FORMAT, "format: another edgekit wrote its script; print it anew"),
            (about.task, task.name, f"task: it was asked for another task than {task.name}"),
            (about.weights, weights, f"weights: they are not those of {source.path}"),
            (about.columns, columns, f"columns: it read other columns than {', '.join(columns)}"),
            (about.labels, list(task.labels), "labels: they have another order or other names"),
        ):
            if found != wanted:
                raise InputError(f"{path}: {KEY}: {what}")

    @property
    def words(self) -> str:
        """Say what answered, for people."""
        version = self.about.versions.get(self.about.library, "?")
        return f"{self.about.library} {version} in the user's own environment"

    def rows(self, data: Dataset) -> Rows:
        """Return what the library made of a data file; raises InputError."""
        digest = data.sha256.removeprefix("sha256:")
        if digest not in self.about.files:
            raise InputError(
                f"{self._path}: {KEY}: holds no answers to {data.path} as it is now; run the script"
                " again"
            )
        number = self.about.files.index(digest)
        try:
            found = {
                name: self._arrays[f"{number}.{name}"]
                for name in ("answers", "counts", "ids", "id_counts", "lengths")
            }
            return self._checked(found, data)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(f"{self._path}: {KEY}: its arrays do not fit: {error}") from None

    def _checked(self, found: dict[str, np.ndarray], data: Dataset) -> Rows:
        answers, counts, id_counts = found["answers"], found["counts"], found["id_counts"]
        width = len(self._task.labels) or getattr(self._task, "dimensions", 0)
        count = len(data.inputs)
        by_word = any(hasattr(value, "spans") for value in data.inputs)
        if answers.dtype != np.float32 or answers.ndim != 2 or answers.shape[1] != width:
            raise ValueError(f"answers must be float32 [rows, {width}]")
        if not len(counts) == len(id_counts) == len(found["lengths"]) == count:
            raise ValueError(f"{len(counts)} answers to {count} inputs")
        if (
            (counts < 0).any()
            or counts.sum() != len(answers)
            or id_counts.sum() != len(found["ids"])
        ):
            raise ValueError("the counts are not those of the rows")
        expected = [len(value.spans) for value in data.inputs] if by_word else [1] * count
        for place, (number, wanted) in enumerate(zip(counts, expected, strict=True)):
            if number != wanted:
                row = place // data.width + 1
                raise ValueError(f"row {row} has {number} answers, and {wanted} are right")
        # Words without a token, and texts without one: edgekit's reading has none either.
        empty = np.isnan(answers).all(axis=1) & (by_word | (np.repeat(id_counts, counts) == 0))
        if not np.isfinite(answers[~empty]).all():
            place = int(np.flatnonzero(~np.isfinite(answers).all(axis=1) & ~empty)[0])
            row = int(np.searchsorted(np.cumsum(counts), place, side="right")) // data.width + 1
            raise ValueError(f"row {row} has an answer that is not a number")
        parts = np.split(answers, np.cumsum(counts)[:-1])
        return Rows(
            answers=[part if by_word else part[0] for part in parts],
            ids=np.split(found["ids"], np.cumsum(id_counts)[:-1]),
            is_cut=[bool(length > self.about.longest) for length in found["lengths"]],
        )
