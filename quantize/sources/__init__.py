"""Sources: what the workstation must know of each task to read its models and its data files.

To add one: a module like `image_classification.py` with `SOURCE`, its line in SOURCES, and its
name in the TYPE_CHECKING block. A task on texts derives it from `text.Texts`.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from edgekit.edge.tasks import Row
from edgekit.edge.tasks.text import TextConfig
from edgekit.errors import InputError
from edgekit.spec import OnTooLong
from edgekit.targets import InputKind

SOURCES = {
    "text-classification": "edgekit.quantize.sources.text_classification",
    "token-classification": "edgekit.quantize.sources.token_classification",
    "feature-extraction": "edgekit.quantize.sources.feature_extraction",
    "image-classification": "edgekit.quantize.sources.image_classification",
    "tabular-classification": "edgekit.quantize.sources.tabular_classification",
}


class Checkpoint(Protocol):
    """How the models of a task come as Hugging Face folders.

    auto_class: the class of transformers that loads them.
    architecture: how the name of the class in config.json ends; no two tasks share an ending.
    """

    auto_class: str
    architecture: str

    def labels(self, folder: Path) -> list[str]:
        """Read what the model's outputs stand for, in their order; none where that is a vector."""

    def describe(self, folder: Path, tokenizer: TextConfig) -> TextConfig:
        """Make the content of task.json; raises InputError.

        tokenizer: the part that is about the tokenizer.
        """


class SourceTask(Protocol):
    """What the workstation must know of one task.

    kind: what its models take; recipes are chosen by it.
    by_word: it answers for each word of a text, not once for the whole.
    pools: its answers are vectors pooled from an encoder's hidden states, not what a head says.
    no_split: why `edgekit init` may not split a data file, and what to do; "" where it may.
    on_too_long: what may become of a text that is longer than the model takes, the default first;
        none where inputs have no length.
    """

    kind: InputKind
    by_word: bool
    pools: bool
    no_split: str
    on_too_long: tuple[OnTooLong, ...]

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Return how its models come as Hugging Face folders; None where only as ONNX or GGUF."""

    def columns(self, model: Path, rows: Sequence[Row], label: str) -> list[str]:
        """Choose the input columns of a data file for a first spec; raises InputError.

        model: the folder with the model.
        rows: of the file, at least one.
        """

    def anchored(self, row: Row, columns: Sequence[str], folder: Path) -> Row:
        """Return a row of a file in `folder` so that it means the same in a file elsewhere."""


class SourceModule(Protocol):
    """What each module of the table offers."""

    @property
    def SOURCE(self) -> SourceTask:  # noqa: N802 - the name of a constant
        """Return what the workstation must know of the task."""


def source_task(name: str) -> SourceTask:
    """Return what the workstation must know of a task, by its name in edgekit.edge.tasks."""
    return cast(SourceModule, importlib.import_module(SOURCES[name])).SOURCE


def checkpoint_of(name: str) -> Checkpoint:
    """Return how the models of a task come as Hugging Face folders; raises InputError."""
    found = source_task(name).checkpoint
    if found is None:
        raise InputError(
            f"model.task = {name!r}: such a model comes as model.onnx with task.json, not as a"
            " Hugging Face folder"
        )
    return found


def what_is_too_long(task: str, asked: OnTooLong | None, where: str) -> OnTooLong | None:
    """Return what becomes of texts that are too long; None where inputs have no length.

    asked: what the spec says; None for the default. where: the file and the key that say it.

    Raises InputError.
    """
    ways = source_task(task).on_too_long
    if asked in ways:
        return asked
    if asked is None:
        return ways[0] if ways else None
    known = " or ".join(f'"{way}"' for way in ways)
    why = (
        f"{task} answers once for a whole text, and a window is a part of one; set it to {known}"
        if ways
        else f"{task} takes no texts; leave it out"
    )
    raise InputError(f"{where} = {asked!r}: {why}")


def architectures() -> dict[str, str]:
    """Return how the name of a Hugging Face class ends, by the task that it does."""
    found = {name: source_task(name).checkpoint for name in SOURCES}
    return {name: checkpoint.architecture for name, checkpoint in found.items() if checkpoint}


if TYPE_CHECKING:
    from edgekit.quantize.sources import (
        feature_extraction,
        image_classification,
        tabular_classification,
        text_classification,
        token_classification,
    )

    _CHECKED: tuple[SourceModule, ...] = (
        feature_extraction,
        image_classification,
        tabular_classification,
        text_classification,
        token_classification,
    )
