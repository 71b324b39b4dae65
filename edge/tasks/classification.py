"""What the tasks share that answer with labels: probabilities, decisions, predictions."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.edge.tasks import Tensors, largest_difference
from edgekit.edge.tasks.predictions import Label, Prediction
from edgekit.errors import InputError


class Classifier:
    """One label out of several; subclasses turn inputs into tensors.

    labels: in the order of the model's outputs.
    thresholds: a label that is said as soon as its probability reaches this, whatever the others
        have.
    is_exclusive: one label is right for each input; otherwise any number of them may be.
    most_length: no bound where every input has the length 1 (see Task).
    """

    results: tuple[str, ...] = ("predicted_label", "predicted_score")
    is_exclusive = True
    most_length = sys.maxsize

    def __init__(
        self, labels: Sequence[str], output: str, thresholds: Mapping[str, float] | None = None
    ) -> None:
        self.labels = tuple(labels)
        self.thresholds = dict(thresholds or {})
        self._indices = {label: index for index, label in enumerate(self.labels)}
        self._output = output
        unknown = [label for label in self.thresholds if label not in self._indices]
        if unknown:
            raise InputError(f"thresholds: the model has no label {unknown[0]!r}")

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """Take logits [labels] each from the named output.

        They are log-probabilities where the graph ends in probabilities.
        """
        values = np.asarray(outputs[self._output], dtype=np.float32)
        if self._output == "probabilities":
            values = np.log(np.clip(values, 1e-7, None))
        return list(values)

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
