"""Raw inputs: what a user hands to a library, in place of what a task makes of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.edge.tasks.token_classification import OUTSIDE, Sentence


def raw(value: Any) -> Any:  # noqa: ANN401 - the task's own kind of input
    """Return a text as it is, and a sentence as its words."""
    return value.words if isinstance(value, Sentence) else value


def completed(answer: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Return an answer in which words without a token, NaN so far, are outside of all entities."""
    outside = np.zeros(len(labels), dtype=np.float32)
    outside[list(labels).index(OUTSIDE) if OUTSIDE in labels else 0] = 1
    return np.where(np.isnan(answer).all(axis=-1, keepdims=True), outside, answer)
