"""The reference of a Hugging Face folder: transformers or sentence-transformers, in PyTorch fp32.

The code that answers is the one that `edgekit reference-script` prints.
"""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.edge.tasks import Task, Tensors
from edgekit.errors import InputError
from edgekit.quantize.huggingface import first_line
from edgekit.quantize.reference.own import torch_answers
from edgekit.quantize.reference.raw import completed, raw
from edgekit.quantize.reference.raw_answers import Library, load_library
from edgekit.quantize.source import Source
from edgekit.quantize.sources import checkpoint_of, source_task


class HuggingFaceReference:
    """A folder in the library that it was made for; see Reference."""

    grey_level = 0.0

    def __init__(self, source: Source, task: Task[Any], max_length: int | None) -> None:
        folder, self._task = Path(source.path), task
        self._by_word = source_task(source.task).by_word
        self._library = _loaded(folder, source.task, max_length)
        version = metadata.version(self._library.library)
        self.words = f"{self._library.library} {version}, PyTorch fp32"
        self.labels: tuple[str, ...] | None = tuple(self._library.labels)
        self.truncation_side = self._library.side

    def tensors(self, inputs: Sequence[Any]) -> Tensors:
        """Return the token tensors as the library makes them."""
        return dict(self._library.encode([raw(value) for value in inputs]))

    def is_cut(self, inputs: Sequence[Any]) -> list[bool]:
        """Tell of each input whether it has more tokens than the library keeps."""
        lengths = self._library.lengths([raw(value) for value in inputs])
        return [length > self._library.longest for length in lengths]

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer each input.

        Where each word has an answer, and the library leaves some out since it cuts the input,
        edgekit's reading in the library's model answers: it has been compared before.
        """
        said = self._library.answers([raw(value) for value in inputs])
        if not self._by_word:
            return said
        own = torch_answers(self._library.model, self._task, None)
        found = []
        for value, answer, is_cut in zip(inputs, said, self.is_cut(inputs), strict=True):
            if is_cut or np.isnan(answer).any():
                mine = own([value])[0]
                found.append(mine if is_cut else completed(answer, mine))
            else:
                found.append(answer)
        return found


def _loaded(folder: Path, task: str, max_length: int | None) -> Library:
    auto_class, by_word = checkpoint_of(task).auto_class, source_task(task).by_word
    try:
        return load_library(folder, auto_class, by_word, max_length)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - a folder that a library can't read raises anything
        raise InputError(
            f"{folder}: its own library can't load it ({type(error).__name__}:"
            f" {first_line(error)}); if it loads where it was made, let it answer there (edgekit"
            " reference-script) and set model.reference_answers"
        ) from None
