"""What the classification tasks share: labels, probabilities, predictions."""

from collections.abc import Sequence

import numpy as np

from edgekit.edge.tasks import Prediction, Tensors


class Classifier:
    """One label out of several. Subclasses turn inputs into tensors."""

    metric = "accuracy"

    def __init__(self, labels: Sequence[str], output: str) -> None:
        self.labels = tuple(labels)
        self._indices = {label: index for index, label in enumerate(self.labels)}
        self._output = output

    def logits(self, outputs: Tensors) -> np.ndarray:
        """The named output; log-probabilities where the graph ends in probabilities."""
        values = np.asarray(outputs[self._output], dtype=np.float32)
        if self._output == "probabilities":
            return np.log(np.clip(values, 1e-7, None))
        return values

    def decode(self, logits: np.ndarray) -> list[Prediction]:
        """Softmax, and the label with the largest share."""
        shares = softmax(logits)
        best = shares.argmax(axis=1)
        return [
            Prediction(
                label=self.labels[index], score=float(row[index]), probabilities=[float(x) for x in row]
            )
            for index, row in zip(best, shares, strict=True)
        ]

    def label_index(self, value: object) -> int | None:
        """By name; by number where no label has that name."""
        text = str(value).strip()
        if text in self._indices:
            return self._indices[text]
        return int(text) if text.isdecimal() and int(text) < len(self.labels) else None


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from [batch, labels], computed in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def rank(prediction: Prediction, labels: Sequence[str], count: int) -> list[dict[str, object]]:
    """The `count` likeliest labels with their probabilities, likeliest first."""
    order = sorted(range(len(labels)), key=lambda index: -prediction.probabilities[index])[:count]
    return [{"label": labels[index], "score": prediction.probabilities[index]} for index in order]
