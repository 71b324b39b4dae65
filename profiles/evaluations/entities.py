"""Evaluation of tasks that label words: whole entities are right or wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from edgekit.edge.tasks.tags import Span
from edgekit.edge.tasks.token_classification import Sentence, TokenClassification, json_list
from edgekit.errors import InputError
from edgekit.nouns import Standing
from edgekit.profiles.evaluations import Answers, Evaluation, Truth
from edgekit.profiles.evaluations.label_fit import Fit, fit_one
from edgekit.profiles.evaluations.label_rule import LabelRule, Labels
from edgekit.profiles.evaluations.labels import indices
from edgekit.profiles.evaluations.metrics import F1, Assessment
from edgekit.profiles.evaluations.standing import by_entities
from edgekit.spec import LabelsAre


class EntityEvaluation:
    """An entity's kind, first and last word must all be right; a truth is an index for each word.

    A floor is set for a kind of entity.
    """

    metric = F1("entity_f1")
    inputs_per_row = 1
    scored_labels: tuple[str, ...] = ()

    def __init__(self, task: TokenClassification) -> None:
        self.task = task
        self.classes = task.tags.kinds
        self._labels = Labels(task.labels)

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose as the task itself does."""
        return self.task.columns(names, label)

    def fit(self, cells: Iterable[object], wanted: LabelsAre | None = None) -> Fit:
        """Decide how the labels of all words are read; a cell that is no array does not fit."""
        read = [json_list(cell) for cell in cells]
        arrays = [tags for tags in read if isinstance(tags, list)]
        fit = fit_one((tag for tags in arrays for tag in tags), self._labels, wanted)
        return replace(fit, fitting=fit.fitting * len(arrays) / max(1, len(read)))

    def truth(
        self, value: object, given: Sentence, rule: LabelRule | None = None
    ) -> tuple[int, ...]:
        """Read the index of each word's label, from an array (in a CSV: a JSON array)."""
        tags = json_list(value)
        if not isinstance(tags, list) or len(tags) != len(given.spans):
            raise InputError(
                f"its labels must be an array of {len(given.spans)}, one for each word"
            )
        rule = rule or self.fit([tags]).rule
        return tuple(self._labels.find(tag, rule) for tag in tags)

    def assess(self, answers: Answers, truths: Sequence[Truth]) -> Assessment:
        """Compare the entities that are said with the right ones."""
        said = [answer.argmax(axis=1) for answer in answers]
        pairs = [
            (self._entities(indices(truth)), self._entities(row))
            for truth, row in zip(truths, said, strict=True)
        ]
        return self.metric.assess(pairs, np.concatenate(said), lambda span: span.kind)

    def standing(self, answers: Answers, truths: Sequence[Truth], confidence: float) -> Standing:
        """Hold the entities against those of the same answers, given to other rows."""
        said = [tuple(map(int, answer.argmax(axis=1))) for answer in answers]
        right = [indices(truth) for truth in truths]
        return by_entities(self.task.labels, right, said, self._entities, confidence)

    def _entities(self, tags: Iterable[int]) -> set[Span]:
        return set(self.task.tags.spans(self.task.labels[index] for index in tags))

    def probabilities(self, answers: Answers) -> np.ndarray:
        """Compute nothing: no label has a probability for the whole input."""
        return np.empty((len(answers), 0))

    def reliability(self, answers: Answers, truths: Sequence[Truth]) -> None:
        """Say nothing, for want of probabilities."""


def evaluation(task: TokenClassification) -> Evaluation:
    """Make the evaluation of a task's answers."""
    return EntityEvaluation(task)
