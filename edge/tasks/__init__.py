"""Tasks: a raw input becomes tensors, tensors become a typed prediction, and the task's metric says
how good it is.

To add one: a module like `text_classification.py` with `load(folder, config) -> Task` and
`sources`, and its line in TASKS. A task is described by `task.json` in the artifact's folder.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from edgekit.edge.tasks.predictions import Prediction
from edgekit.errors import InputError
from edgekit.nouns import Unreadable, read_json

Tensors = dict[str, np.ndarray]
Row = Mapping[str, object]  # of a CSV or JSONL file

TASKS = {
    "text-classification": "edgekit.edge.tasks.text_classification",
    "token-classification": "edgekit.edge.tasks.token_classification",
    "feature-extraction": "edgekit.edge.tasks.feature_extraction",
    "image-classification": "edgekit.edge.tasks.image_classification",
    "tabular-classification": "edgekit.edge.tasks.tabular_classification",
}


# What a file says is right for one row: a label's index, the indices of several (or one for each
# word), or a number.
Truth = int | tuple[int, ...] | float


class Task(Protocol):
    """One kind of specialist. An input is whatever the task's own `parse` and `read` return.

    An answer is one float32 array for each input: logits [labels] or [words, labels], or a vector
    [dimensions].
    """

    name: str
    metric: str  # see edgekit.profiles.metrics
    # of many inputs, as KServe v2 writes it: datatype and shape, -1 for any
    tensor: tuple[str, list[int]]
    labels: tuple[str, ...]
    results: tuple[str, ...]  # the columns that a batch adds for a prediction
    reads_pairs: bool  # a row of an evaluation file holds one input in each of its input columns

    def parse(self, value: object) -> Any:  # noqa: ANN401
        """An input from its wire form (JSON). Raises InputError, without echoing the value."""

    def wire(self, value: Any) -> object:  # noqa: ANN401
        """The wire form of an input: what `parse` takes."""

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> Any:  # noqa: ANN401
        """An input from a row of a file that lies in `folder`. Raises InputError, without echoing
        the value.
        """

    def argument(self, text: str) -> Any:  # noqa: ANN401
        """An input from a word on the command line. Raises InputError."""

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """The input columns of a file that has these column names, when the user named none."""

    def encode(self, inputs: Sequence[Any]) -> Tensors:
        """Tensors with the batch as their first axis. Some may be for `answers` only: engines pass
        over them.
        """

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """One answer for each input of the batch, from what the engine made of `feeds`."""

    def decode(self, inputs: Sequence[Any], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """One prediction for each answer."""

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Inputs of the right shape, in wire form, made from nobody's data: for golden samples."""

    def truth(self, value: object, given: Any) -> Truth:  # noqa: ANN401
        """What the label column of a row says of the input `given`. Raises InputError."""


def one_column(columns: Sequence[str]) -> str:
    """The one input column; raises InputError if there are several."""
    if len(columns) != 1:
        raise InputError(f"this task reads one input column, not {len(columns)}")
    return columns[0]


def find_task(name: str, where: str) -> Any:  # noqa: ANN401 - a module
    """The module of a task; raises InputError that names the known ones. `where` is the file and
    key.
    """
    if name not in TASKS:
        raise InputError(f"{where} = {name!r}: unknown task; known: {', '.join(TASKS)}")
    return importlib.import_module(TASKS[name])


def load_task(folder: Path) -> Task:
    """The task that `folder/task.json` describes."""
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
        task: Task = module.load(folder, msgspec.convert(config, module.Config))
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None
    return task
