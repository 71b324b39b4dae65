"""text-classification: a text becomes token ids, logits become a label, or several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from tokenizers import Tokenizer

from edgekit.edge.tasks.classification import Classifier, sigmoid
from edgekit.edge.tasks.predictions import TRUNCATED, Labels, Prediction
from edgekit.edge.tasks.text import TextConfig, TextTask, load_tokenizer

EVEN = 0.5  # a label applies from here on, where the model has no threshold of its own for it


class Config(TextConfig, frozen=True, kw_only=True):
    """task.json of this task.

    labels: in the order of the model's outputs.
    multi_label: any number of labels may apply to a text, each by its own probability.
    thresholds: the probability from which a label is said, for the labels that have one.
    output: the graph's tensor that holds the logits.
    on_too_long: as in TextConfig; one answer for a whole text can't be made of windows.
    """

    task: Literal["text-classification"] = "text-classification"
    labels: list[str]
    multi_label: bool = False
    thresholds: dict[str, float] = {}
    output: str = "logits"
    on_too_long: Literal["flag", "refuse"] = "flag"


class TextClassification(TextTask, Classifier):
    """One label for each text."""

    name = "text-classification"
    results: tuple[str, ...] = ("predicted_label", "predicted_score", TRUNCATED)

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        TextTask.__init__(self, tokenizer, config)
        Classifier.__init__(self, config.labels, config.output, config.thresholds)


class MultiLabel(TextClassification):
    """Any number of labels for each text."""

    results: tuple[str, ...] = ("predicted_labels", TRUNCATED)
    is_exclusive = False

    def probabilities(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Turn logits into probabilities, float64 [inputs, labels], each label by itself."""
        return sigmoid(np.stack(answers))

    def decide(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """Choose the labels that apply: bool [inputs, labels]."""
        least = np.array([self.thresholds.get(label, EVEN) for label in self.labels])
        return np.asarray(self.probabilities(answers) >= least)

    def decode(self, inputs: Sequence[object], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """Say the labels that apply."""
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


def load(folder: Path, config: object) -> TextClassification:
    """Make the task from task.json's content and tokenizer.json; raises InputError."""
    described = msgspec.convert(config, Config)
    kind = MultiLabel if described.multi_label else TextClassification
    return kind(load_tokenizer(folder), described)
