"""Tasks: a raw input becomes tensors, tensors become an answer, and an answer becomes a prediction.

To add a task, say sound-classification, write one file in each folder that needs one:
1. edge/tasks/sound_classification.py with `load(folder, config)`, and its line in TASKS below;
2. its prediction in edge/tasks/predictions.py, where none of those that are there fits;
3. profiles/evaluations: `evaluation(task)`, or one that is there, and its line in EVALUATIONS;
4. quantize/sources/sound_classification.py with `SOURCE`, and its line in SOURCES;
5. where it takes another input than texts, pictures or tables: InputKind in targets/, the recipes
   to try in targets/devices/, and `inputs` of the recipes in quantize/recipes;
6. the TYPE_CHECKING blocks that name the modules: there mypy holds each to its Protocol.
"""

import importlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import msgspec
import numpy as np

from edgekit.edge.tasks.predictions import Prediction
from edgekit.errors import InputError
from edgekit.nouns import Unreadable, read_json

I = TypeVar("I")  # noqa: E741 - an input: whatever the task's own `parse` and `read` return
I_co = TypeVar("I_co", covariant=True)
Tensors = dict[str, np.ndarray]
Row = Mapping[str, object]  # of a CSV, JSONL or CoNLL file

TASKS = {
    "text-classification": "edgekit.edge.tasks.text_classification",
    "token-classification": "edgekit.edge.tasks.token_classification",
    "feature-extraction": "edgekit.edge.tasks.feature_extraction",
    "image-classification": "edgekit.edge.tasks.image_classification",
    "tabular-classification": "edgekit.edge.tasks.tabular_classification",
}

DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class RowFormat(Protocol[I_co]):
    """How a task's inputs lie in the rows of a file, and which columns a prediction adds to them.

    results: the columns that a batch adds, in the order of a prediction's `row`; a task on texts
        has TRUNCATED behind them.
    """

    results: tuple[str, ...]

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose the columns of one input among a file's, none where it is not plain which."""

    def takes(self, columns: Sequence[str]) -> bool:
        """Tell whether one input can be read from these columns."""

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> I_co:
        """Read an input from a row of a file that lies in `folder`; raises InputError.

        The error never echoes the value.
        """


class Task(RowFormat[I], Protocol[I]):
    """What one kind of specialist does on the appliance.

    An answer is one float32 array for each input: logits [labels] or [words, labels], or a vector
    [dimensions].

    name: as Hugging Face's users know it; the key in TASKS.
    labels: what an answer's last axis stands for; empty where it is a vector.
    output: the tensor of the model that answers are taken from.
    tensor: datatype and shape of many inputs as KServe v2 writes them, -1 for any.
    most_length: how long the inputs of one request may be together, in the unit of `length`.
    """

    name: str
    labels: tuple[str, ...]
    output: str
    tensor: tuple[str, list[int]]
    most_length: int

    def parse(self, value: object) -> I:
        """Make an input from its wire form (JSON); raises InputError, without echoing the value."""

    def wire(self, value: I) -> object:
        """Write an input in its wire form, which `parse` takes."""

    def argument(self, text: str) -> I:
        """Make an input from a word on the command line; raises InputError."""

    def length(self, value: I) -> int:
        """Say how long an input is, at no cost, so that like lengths can share an engine call.

        Characters of a text, words of a sentence, 1 where every input is as large.
        """

    def encode(self, inputs: Sequence[I]) -> Tensors:
        """Make tensors with the engine's rows as their first axis, one row or more for each input.

        Some may be for `answers` only: engines pass over them. Where inputs may be cut, TRUNCATED
        is among them: bool [batch]. Raises InputError for what can't be encoded.
        """

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """Take one answer for each input from what the engine made of `feeds`."""

    def decode(self, inputs: Sequence[I], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """Make one prediction of each answer."""

    def difference(self, said: np.ndarray, right: np.ndarray) -> float:
        """Measure how far an answer is from the right one: infinite for another shape.

        NaN where the answer holds one: no comparison with a bound lets that pass.
        """

    def doubts(self) -> list[str]:
        """Say in a line each what of the model's files is read in a way that may surprise."""

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Make inputs of the right shape from nobody's data, in wire form: for golden samples."""


class TaskModule(Protocol):
    """What the module of each task offers."""

    @property
    def Config(self) -> type[Any]:  # noqa: N802 - the name of a class
        """Return its record of task.json."""

    def load(self, folder: Path, config: object) -> Task[Any]:
        """Make the task from task.json's content, and from the files beside it.

        Raises InputError, and msgspec.ValidationError where the content is wrong.
        """


def largest_difference(said: np.ndarray, right: np.ndarray) -> float:
    """Measure the largest distance between numbers at the same place of two arrays.

    Infinite where their shapes differ, 0 where they are empty, NaN where one is in them.
    """
    if said.shape != right.shape:
        return float("inf")
    # Not max(), which a NaN that is not the first one gets past.
    return float(np.max(np.abs(said - right))) if said.size else 0.0


def run_in_parts(run: Callable[[Tensors], Tensors], feeds: Tensors, size: int) -> Tensors:
    """Run an engine on at most `size` rows at a time, and join what it makes of them.

    There are more rows than inputs where long documents are read in windows.
    """
    rows = max(map(len, feeds.values()))
    if rows <= size:
        return run(feeds)
    parts = [
        run({name: value[start : start + size] for name, value in feeds.items()})
        for start in range(0, rows, size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def one_column(columns: Sequence[str]) -> str:
    """Return the only input column; raises InputError if there are several."""
    if len(columns) != 1:
        raise InputError(f"this task reads one input column, not {len(columns)}")
    return columns[0]


def as_number(value: object) -> float | None:
    """Return a finite number, or the one that a text spells as a plain decimal; None for others.

    Blanks may stand around it, as they do behind the commas of many files. Python itself would also
    read "1_0", "infinity" and the digits of other scripts.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not DECIMAL.fullmatch(value.strip(" \t")):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def find_task(name: str, where: str) -> TaskModule:
    """Return the module of a task; raises InputError that names the known ones.

    where: the file and the key that name the task.
    """
    if name not in TASKS:
        raise InputError(f"{where} = {name!r}: unknown task; known: {', '.join(TASKS)}")
    return cast(TaskModule, importlib.import_module(TASKS[name]))


def load_task(folder: Path) -> Task[Any]:
    """Load the task that `folder/task.json` describes; raises InputError."""
    path = folder / "task.json"
    try:
        config = read_json(path.read_bytes(), dict[str, Any])
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; it says what the model's inputs and outputs mean"
        ) from None
    except Unreadable as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    module = find_task(str(config.get("task")), f"{path}: task")
    try:
        return module.load(folder, config)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None


if TYPE_CHECKING:
    from edgekit.edge.tasks import (
        feature_extraction,
        image_classification,
        tabular_classification,
        text_classification,
        token_classification,
    )

    _CHECKED: tuple[TaskModule, ...] = (
        feature_extraction,
        image_classification,
        tabular_classification,
        text_classification,
        token_classification,
    )
