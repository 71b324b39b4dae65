"""feature-extraction: a text becomes a vector.

Pooling is part of the graph; the vector gets length 1 here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from tokenizers import Tokenizer

from edgekit.edge.tasks import Tensors, largest_difference
from edgekit.edge.tasks.predictions import TRUNCATED, Embedding, Prediction
from edgekit.edge.tasks.text import TextConfig, TextTask, load_tokenizer


class Config(TextConfig, frozen=True, kw_only=True):
    """task.json of this task.

    dimensions: of a vector.
    normalize: vectors have length 1, so that their dot product is their cosine.
    output: the graph's tensor that holds the vectors.
    on_too_long: as in TextConfig; one vector for a whole text can't be made of windows.
    """

    task: Literal["feature-extraction"] = "feature-extraction"
    dimensions: int
    normalize: bool = True
    output: str = "sentence_embedding"
    on_too_long: Literal["flag", "refuse"] = "flag"


class FeatureExtraction(TextTask):
    """One vector for each text."""

    name = "feature-extraction"
    labels: tuple[str, ...] = ()
    results: tuple[str, ...] = ("embedding", TRUNCATED)

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        super().__init__(tokenizer, config)
        self.dimensions = config.dimensions
        self._config = config

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """Take the vectors [dimensions]."""
        vectors = np.asarray(outputs[self._config.output], dtype=np.float32)
        if self._config.normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return list(vectors)

    def difference(self, said: np.ndarray, right: np.ndarray) -> float:
        """Measure the largest difference in one dimension."""
        return largest_difference(said, right)

    def decode(self, inputs: Sequence[object], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """Say the vectors."""
        return [Embedding(embedding=[float(x) for x in answer]) for answer in answers]


def load(folder: Path, config: object) -> FeatureExtraction:
    """Make the task from task.json's content and tokenizer.json; raises InputError."""
    described = msgspec.convert(config, Config)
    return FeatureExtraction(load_tokenizer(folder), described)
