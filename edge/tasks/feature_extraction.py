"""feature-extraction: a text becomes a vector. Pooling is part of the graph; the vector gets length
1 here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from edgekit.edge.tasks import Tensors
from edgekit.edge.tasks.predictions import Embedding, Prediction
from edgekit.edge.tasks.text import TextConfig, TextTask, load_tokenizer
from edgekit.errors import InputError


class Config(TextConfig, frozen=True, kw_only=True):
    """task.json. `normalize`: vectors have length 1, so that their dot product is their cosine."""

    task: Literal["feature-extraction"] = "feature-extraction"
    dimensions: int
    normalize: bool = True
    output: str = "sentence_embedding"


class FeatureExtraction(TextTask):
    """One vector for each text. An evaluation file holds pairs of texts, with a number for how
    alike each pair is.
    """

    name = "feature-extraction"
    metric = "spearman_cosine"
    labels: tuple[str, ...] = ()
    results: tuple[str, ...] = ("embedding",)
    reads_pairs = True

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        super().__init__(tokenizer, config)
        self.dimensions = config.dimensions
        self._config = config

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """`text`, or all that are not the label where they are one or two."""
        others = [name for name in names if name != label]
        return ["text"] if "text" in others else others if len(others) <= 2 else []

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """Vectors [dimensions]."""
        vectors = np.asarray(outputs[self._config.output], dtype=np.float32)
        if self._config.normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return list(vectors)

    def decode(self, inputs: Sequence[object], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """The vectors."""
        return [Embedding(embedding=[float(x) for x in answer]) for answer in answers]

    def truth(self, value: object, given: object) -> float:
        """How alike the two texts of a row are, on any scale."""
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise InputError("its label must be a number that says how alike the two texts are")
        return number


def load(folder: Path, config: Config) -> FeatureExtraction:
    """Read tokenizer.json; raises InputError."""
    return FeatureExtraction(load_tokenizer(folder), config)
