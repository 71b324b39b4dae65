"""What the tasks share that answer with labels: probabilities, decisions, predictions."""

import sys
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edgekit.edge.tasks import Tensors, largest_difference
from edgekit.edge.tasks.predictions import Label, Prediction
from edgekit.errors import InputError

# What the numbers of a graph's output are: one for each label, or a single one, which is that of
# the second of two labels. Log-probabilities count as logits: the softmax of both is the same.
Scores = Literal["logits", "probabilities", "logit", "probability"]
SINGLE: tuple[Scores, ...] = ("logit", "probability")
LEAST = 1e-7  # a probability is taken to be at least this, since 0 has no logarithm


class Classifier:
    """One label out of several; subclasses turn inputs into tensors.

    labels: in the order of the model's outputs.
    thresholds: a label that is said as soon as its probability reaches this, whatever the others
        have.
    output: the graph's tensor that holds the scores.
    scores: what the numbers of the output are; where task.json does not say so, as in bundles of
        0.1.0, an output of the name "probabilities" holds these, and any other holds logits.
    is_exclusive: one label is right for each input; otherwise any number of them may be.
    most_length: no bound where every input has the length 1 (see Task).
    """

    results: tuple[str, ...] = ("predicted_label", "predicted_score")
    is_exclusive = True
    most_length = sys.maxsize

    def __init__(
        self,
        labels: Sequence[str],
        output: str,
        thresholds: Mapping[str, float] | None = None,
        scores: Scores | None = None,
    ) -> None:
        self.labels = tuple(labels)
        self.thresholds = dict(thresholds or {})
        self.scores: Scores = scores or ("probabilities" if output == "probabilities" else "logits")
        self._indices = {label: index for index, label in enumerate(self.labels)}
        self.output = output
        unknown = [label for label in self.thresholds if label not in self._indices]
        if unknown:
            raise InputError(f"thresholds: the model has no label {unknown[0]!r}")

    def doubts(self) -> list[str]:
        """Say nothing: labels and features are what task.json names."""
        return []

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """Take logits [labels] each from the named output, whatever it holds."""
        values = np.asarray(outputs[self.output], dtype=np.float32)
        if self.scores in SINGLE:
            values = values.reshape(len(values), -1)
        if self.scores == "logit":
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        elif self.scores == "probability":
            values = np.concatenate([1 - values, values], axis=1)
        return list(values if "logit" in self.scores else self.logits(values))

    def logits(self, probabilities: np.ndarray) -> np.ndarray:
        """Return logits [inputs, labels] of which `probabilities` makes these probabilities."""
        return np.asarray(np.log(bounded(probabilities)))

    def difference(self, said: np.ndarray, right: np.ndarray) -> float:
        """Measure the largest difference of two logits."""
        return largest_difference(said, right)

    def probabilities(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Turn logits into probabilities, float64 [inputs, labels]; each row's sum is 1."""
        return softmax(np.stack(answers))

    def decide(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Choose the label that is said for each answer: its index, int64 [inputs]."""
        shares = self.probabilities(answers)
        for label, threshold in self.thresholds.items():
            column = shares[:, self._indices[label]]
            column[:] = np.where(column >= threshold, np.inf, -np.inf)
        return np.asarray(shares.argmax(axis=1))

    def decode(self, inputs: Sequence[object], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """Say the label of each answer, with its probability."""
        if not answers:
            return []
        said = zip(self.decide(answers), self.probabilities(answers), strict=True)
        return [
            Label(
                label=self.labels[index],
                score=float(row[index]),
                probabilities=[float(x) for x in row],
            )
            for index, row in said
        ]


def bounded(probabilities: np.ndarray, most: float | None = None) -> np.ndarray:
    """Return probabilities that have a logarithm; what is not finite becomes NaN and is noticed."""
    clipped = np.clip(probabilities, LEAST, most)
    return np.where(np.isfinite(probabilities), clipped, np.float32(np.nan))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute probabilities from logits [..., labels], in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Compute the probability of each label by itself, in float64.

    Two forms of it keep the exponent from overflowing.
    """
    small = np.exp(-np.abs(logits.astype(np.float64)))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
