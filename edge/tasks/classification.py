"""What the classification tasks share: labels, decisions, predictions."""

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.edge.tasks import Tensors
from edgekit.edge.tasks.predictions import Label, Prediction
from edgekit.errors import InputError


class Classifier:
    """One label out of several. Subclasses turn inputs into tensors.

    thresholds: a label that is said as soon as its probability reaches this, whatever the others
    have.
    """

    metric = "accuracy"
    results: tuple[str, ...] = ("predicted_label", "predicted_score")
    reads_pairs = False

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
        """Logits [labels] each, from the named output; log-probabilities where the graph ends in
        probabilities.
        """
        values = np.asarray(outputs[self._output], dtype=np.float32)
        if self._output == "probabilities":
            values = np.log(np.clip(values, 1e-7, None))
        return list(values)

    def probabilities(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Float64 [inputs, labels]; each row's sum is 1."""
        return softmax(np.stack(answers))

    def decide(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """The index of the label that is said for each answer: int64 [inputs]."""
        shares = self.probabilities(answers)
        for label, threshold in self.thresholds.items():
            column = shares[:, self._indices[label]]
            column[:] = np.where(column >= threshold, np.inf, -np.inf)
        return np.asarray(shares.argmax(axis=1))

    def decode(self, inputs: Sequence[object], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """The label that is said, with its probability."""
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

    def truth(self, value: object, given: object) -> int:
        """The index of the label: by name, or by number where no label has that name."""
        return label_index(value, self._indices)


def label_index(value: object, indices: Mapping[str, int]) -> int:
    """The index of a label as a file writes it (its name, or its number if no name matches); raises
    InputError.
    """
    text = str(value).strip()
    if text in indices:
        return indices[text]
    if text.isdecimal() and int(text) < len(indices):
        return int(text)
    known = ", ".join(list(indices)[:5]) + (", ..." if len(indices) > 5 else "")
    raise InputError(f"the model has no label {text[:60]!r}; it has: {known}")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from [..., labels], computed in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each label by itself, computed in float64; the two forms keep the exponent
    from overflowing.
    """
    small = np.exp(-np.abs(logits.astype(np.float64)))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
