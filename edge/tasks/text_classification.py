"""text-classification: a text becomes token ids, logits become a label, or several."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from edgekit.edge.tasks.classification import Classifier, label_index, sigmoid
from edgekit.edge.tasks.predictions import Labels, Prediction
from edgekit.edge.tasks.text import TextConfig, TextTask, load_tokenizer
from edgekit.errors import InputError

EVEN = 0.5  # a label applies from here on, where the model has no threshold of its own for it


class Config(TextConfig, frozen=True, kw_only=True):
    """task.json. `multi_label`: any number of labels may apply to a text, each by its own
    probability.
    """

    task: Literal["text-classification"] = "text-classification"
    labels: list[str]
    multi_label: bool = False
    thresholds: dict[str, float] = {}
    output: str = "logits"


class TextClassification(TextTask, Classifier):
    """One label for each text."""

    name = "text-classification"

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        TextTask.__init__(self, tokenizer, config)
        Classifier.__init__(self, config.labels, config.output, config.thresholds)


class MultiLabel(TextClassification):
    """Any number of labels for each text."""

    metric = "micro_f1"
    results: tuple[str, ...] = ("predicted_labels",)

    def probabilities(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Float64 [inputs, labels], each label by itself."""
        return sigmoid(np.stack(answers))

    def decide(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Which labels apply: bool [inputs, labels]."""
        least = np.array([self.thresholds.get(label, EVEN) for label in self.labels])
        return np.asarray(self.probabilities(answers) >= least)

    def decode(self, inputs: Sequence[object], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """The labels that apply."""
        if not answers:
            return []
        found = zip(self.decide(answers), self.probabilities(answers), strict=True)
        return [
            Labels(
                labels=[label for label, applies in zip(self.labels, row, strict=True) if applies],
                probabilities=[float(x) for x in shares],
            )
            for row, shares in found
        ]

    def truth(self, value: object, given: object) -> tuple[int, ...]:  # type: ignore[override]  # several
        """The indices of a JSON array of labels, or of labels with commas between them; none is an
        answer, too.
        """
        if isinstance(value, str):
            text = value.strip()
            try:
                value = (
                    json.loads(text)
                    if text.startswith("[")
                    else [part for part in text.split(",") if part.strip()]
                )
            except (ValueError, RecursionError):
                raise InputError("its labels are not a JSON array") from None
        if not isinstance(value, list):
            raise InputError("its labels must be a JSON array, or names with commas between them")
        return tuple(sorted({label_index(item, self._indices) for item in value}))


def load(folder: Path, config: Config) -> TextClassification:
    """Read tokenizer.json; raises InputError."""
    kind = MultiLabel if config.multi_label else TextClassification
    return kind(load_tokenizer(folder), config)
