"""Raw inputs: what a user hands to a library, in place of what a task makes of it."""

from typing import Any

import numpy as np

from edgekit.edge.tasks.token_classification import Sentence


def raw(value: Any) -> Any:  # noqa: ANN401 - the task's own kind of input
    """Return a text as it is, and a sentence as its words."""
    return value.words if isinstance(value, Sentence) else value


def completed(answer: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return an answer in which words without a token, NaN so far, have edgekit's own answer.

    It is that they are outside of all entities, as the task has it. A text has one answer or none.
    """
    if answer.ndim == 1 or answer.shape != own.shape:
        return answer
    return np.where(np.isnan(answer).all(axis=-1, keepdims=True), own, answer)
