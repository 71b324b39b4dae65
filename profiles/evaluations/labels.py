"""Evaluation of tasks that answer with labels of a whole input: one each, or any number."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from edgekit import strict_json
from edgekit.errors import InputError
from edgekit.nouns import Reliability
from edgekit.profiles.evaluations import Answers, Evaluation, Truth
from edgekit.profiles.evaluations.metrics import F1, Accuracy, Assessment, class_counts
from edgekit.profiles.evaluations.reliability import reliability_of


class LabelTask(Protocol):
    """What is asked of a task that answers with labels; see Classifier."""

    labels: tuple[str, ...]
    is_exclusive: bool

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose the columns of one input."""

    def probabilities(self, answers: Answers) -> np.ndarray:
        """Compute float64 [inputs, labels]."""

    def decide(self, answers: Answers) -> np.ndarray:
        """Choose the label, or the labels, that are said."""


class LabelEvaluation:
    """What one label and several have in common; truths are indices of labels."""

    inputs_per_row = 1

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self.classes = self.scored_labels = task.labels
        self._indices = {label: index for index, label in enumerate(task.labels)}

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose as the task itself does."""
        return self.task.columns(names, label)

    def probabilities(self, answers: Answers) -> np.ndarray:
        """Compute float64 [inputs, labels]."""
        return self.task.probabilities(answers)

    def reliability(self, answers: Answers, truths: Sequence[Truth]) -> Reliability:
        """Say how far the probabilities can be trusted."""
        shares = self.probabilities(answers)
        is_true = np.zeros(shares.shape, dtype=bool)
        for row, truth in zip(is_true, truths, strict=True):
            row[np.array(truth, dtype=int)] = True
        return reliability_of(
            self.task.labels, shares, is_true, is_exclusive=self.task.is_exclusive
        )


class OneLabel(LabelEvaluation):
    """One label is right for each input."""

    metric = Accuracy()

    def truth(self, value: object, given: object) -> int:
        """Read the index of the label: by name, or by number where no label has that name."""
        return label_index(value, self._indices)

    def assess(self, answers: Answers, truths: Sequence[Truth]) -> Assessment:
        """Compare the label that is said with the right one."""
        said, truth = self.task.decide(answers), np.array(truths)
        right = said == truth
        pairs = zip([{index} for index in truth], [{index} for index in said], strict=True)
        return Assessment(
            value=self.metric.value(right),
            rows=right,
            said=said,
            classes=class_counts(pairs, lambda index: self.task.labels[index]),
        )


class ManyLabels(LabelEvaluation):
    """Any number of labels is right for each input; what is counted is labels, not inputs."""

    metric = F1("micro_f1")

    def truth(self, value: object, given: object) -> tuple[int, ...]:
        """Read the indices of a JSON array of labels, or of labels with commas between them.

        None at all is an answer, too.
        """
        if isinstance(value, str):
            text = value.strip()
            try:
                value = (
                    strict_json.loads(text)
                    if text.startswith("[")
                    else [part for part in text.split(",") if part.strip()]
                )
            except (ValueError, RecursionError):
                raise InputError("its labels are not a JSON array") from None
        if not isinstance(value, list):
            raise InputError("its labels must be a JSON array, or names with commas between them")
        return tuple(sorted({label_index(item, self._indices) for item in value}))

    def assess(self, answers: Answers, truths: Sequence[Truth]) -> Assessment:
        """Compare the labels that are said with the right ones."""
        said = self.task.decide(answers)
        pairs = [
            (set(indices(truth)), set(np.flatnonzero(row).tolist()))
            for truth, row in zip(truths, said, strict=True)
        ]
        return self.metric.assess(pairs, said, lambda index: self.task.labels[index])


def indices(truth: Truth) -> tuple[int, ...]:
    """Return the indices that a truth consists of."""
    return truth if isinstance(truth, tuple) else (int(truth),)


def label_index(value: object, known: Mapping[str, int]) -> int:
    """Find the index of a label as a file writes it; raises InputError.

    That is its name, or its number if no name matches.
    """
    text = str(value).strip()
    if text in known:
        return known[text]
    if text.isdecimal() and int(text) < len(known):
        return int(text)
    names = ", ".join(list(known)[:5]) + (", ..." if len(known) > 5 else "")
    raise InputError(f"the model has no label {text[:60]!r}; it has: {names}")


def evaluation(task: LabelTask) -> Evaluation:
    """Make the evaluation of a classifier's answers."""
    return OneLabel(task) if task.is_exclusive else ManyLabels(task)
