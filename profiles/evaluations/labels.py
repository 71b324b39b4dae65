"""Evaluation of tasks that answer with labels of a whole input: one each, or any number."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from edgekit.nouns import Reliability, Standing
from edgekit.profiles.evaluations import Answers, Evaluation, Truth
from edgekit.profiles.evaluations.chance import mean_area
from edgekit.profiles.evaluations.label_fit import Fit, fit_one, fit_several
from edgekit.profiles.evaluations.label_rule import LabelRule, Labels, labels_of
from edgekit.profiles.evaluations.metrics import F1, Accuracy, Assessment, class_counts
from edgekit.profiles.evaluations.reliability import reliability_of
from edgekit.profiles.evaluations.standing import by_area, by_recall
from edgekit.spec import LabelsAre


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
        self._labels = Labels(task.labels)

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose as the task itself does."""
        return self.task.columns(names, label)

    def probabilities(self, answers: Answers) -> np.ndarray:
        """Compute float64 [inputs, labels]."""
        return self.task.probabilities(answers)

    def reliability(self, answers: Answers, truths: Sequence[Truth]) -> Reliability:
        """Say how far the probabilities can be trusted."""
        shares = self.probabilities(answers)
        return reliability_of(
            self.task.labels,
            shares,
            self._is_true(shares, truths),
            is_exclusive=self.task.is_exclusive,
        )

    def _is_true(self, shares: np.ndarray, truths: Sequence[Truth]) -> np.ndarray:
        """Mark the labels that are right, bool, as large as `shares`."""
        is_true = np.zeros(shares.shape, dtype=bool)
        for row, truth in zip(is_true, truths, strict=True):
            row[np.array(truth, dtype=int)] = True
        return is_true


class OneLabel(LabelEvaluation):
    """One label is right for each input."""

    metric = Accuracy()

    def fit(self, cells: Iterable[object], wanted: LabelsAre | None = None) -> Fit:
        """Decide how a column of labels is read."""
        return fit_one(cells, self._labels, wanted)

    def truth(self, value: object, given: object, rule: LabelRule | None = None) -> int:
        """Read the index of the label."""
        return self._labels.find(value, rule or self.fit([value]).rule)

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

    def standing(self, answers: Answers, truths: Sequence[Truth], confidence: float) -> Standing:
        """Hold the balanced accuracy against guessing one of the labels that occur."""
        shares = self.probabilities(answers)
        return by_recall(
            self.task.labels,
            np.array(truths),
            self.task.decide(answers),
            lambda: mean_area(shares, self._is_true(shares, truths), confidence),
            confidence,
        )


class ManyLabels(LabelEvaluation):
    """Any number of labels is right for each input; what is counted is labels, not inputs."""

    metric = F1("micro_f1")

    def fit(self, cells: Iterable[object], wanted: LabelsAre | None = None) -> Fit:
        """Decide how a column of labels is read."""
        return fit_several(cells, self._labels, wanted)

    def truth(self, value: object, given: object, rule: LabelRule | None = None) -> tuple[int, ...]:
        """Read the indices of a JSON array of labels, or of labels with commas between them.

        None at all is an answer, too.
        """
        return labels_of(value, rule or self.fit([value]).rule, self._labels)

    def assess(self, answers: Answers, truths: Sequence[Truth]) -> Assessment:
        """Compare the labels that are said with the right ones."""
        said = self.task.decide(answers)
        pairs = [
            (set(indices(truth)), set(np.flatnonzero(row).tolist()))
            for truth, row in zip(truths, said, strict=True)
        ]
        return self.metric.assess(pairs, said, lambda index: self.task.labels[index])

    def standing(self, answers: Answers, truths: Sequence[Truth], confidence: float) -> Standing:
        """Hold the mean area under the labels' ROC curves against that of guessing, 0.5."""
        shares = self.probabilities(answers)
        return by_area(self.task.labels, shares, self._is_true(shares, truths), confidence)


def indices(truth: Truth) -> tuple[int, ...]:
    """Return the indices that a truth consists of."""
    return truth if isinstance(truth, tuple) else (int(truth),)


def evaluation(task: LabelTask) -> Evaluation:
    """Make the evaluation of a classifier's answers."""
    return OneLabel(task) if task.is_exclusive else ManyLabels(task)
