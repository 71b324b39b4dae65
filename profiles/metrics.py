"""Metrics: what a model's answers are worth against the truth, and what a variant lost against the
reference.

To add one: a class like `Accuracy` and its line in METRICS.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from edgekit.edge.tasks import Task, Truth
from edgekit.edge.tasks.token_classification import Span, spans_of
from edgekit.nouns import Comparison, Counts, Paired
from edgekit.profiles.bootstrap import resample

Answers = Sequence[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A model's answers to an evaluation set.

    rows: what the metric is made of, first axis: the rows of the set.
    said: what was decided, unit by unit (rows, or words), for agreement.
    classes: for each class, how often it was found, missed, and said wrongly.
    """

    value: float
    rows: np.ndarray
    said: np.ndarray
    classes: dict[str, Counts]


class Metric(Protocol):
    """How one metric is computed."""

    def assess(self, task: Any, answers: Answers, truths: Sequence[Truth]) -> Assessment:  # noqa: ANN401
        """Value, rows, decisions and classes."""

    def value(self, rows: np.ndarray) -> float:
        """The metric from (a resample of) an Assessment's rows."""

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        """What the variant lost, row by row."""


class Accuracy:
    """The share of inputs whose label is right. rows: bool [samples]."""

    def assess(self, task: Any, answers: Answers, truths: Sequence[Truth]) -> Assessment:  # noqa: ANN401
        said, truth = task.decide(answers), np.array(truths)
        right = said == truth
        pairs = zip([{index} for index in truth], [{index} for index in said], strict=True)
        return Assessment(
            value=self.value(right),
            rows=right,
            said=said,
            classes=_classes(pairs, lambda index: task.labels[index]),
        )

    def value(self, rows: np.ndarray) -> float:
        return float(np.mean(rows))

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        lost, gained = reference.rows & ~variant.rows, ~reference.rows & variant.rows
        return Paired(samples=len(lost), lost=int(lost.sum()), gained=int(gained.sum()))


class F1:
    """2 TP / (2 TP + FP + FN) over all rows. rows: float [samples, 3], true positives, false
    positives, false negatives.

    Where there is nothing to find and nothing was found, it is 1.
    """

    def value(self, rows: np.ndarray) -> float:
        found, false, missed = rows.sum(axis=0)
        return float(2 * found / (2 * found + false + missed)) if found + false + missed else 1.0

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        rows = reference.rows
        # what a row of this set has to be found
        size = max(1.0, float(np.mean(rows[:, 0] + rows[:, 2])))
        lost = (np.array([[size, 0, 0]]), np.array([[0, 0, size]]))
        return resample(self.value, rows, variant.rows, lost)

    def _assessment(
        self,
        pairs: list[tuple[set[Any], set[Any]]],
        said: np.ndarray,
        kind: Any,  # noqa: ANN401
    ) -> Assessment:
        rows = np.array([[len(t & s), len(s - t), len(t - s)] for t, s in pairs], dtype=np.float64)
        return Assessment(
            value=self.value(rows), rows=rows, said=said, classes=_classes(pairs, kind)
        )


class MicroF1(F1):
    """Of the labels of multi-label inputs."""

    def assess(self, task: Any, answers: Answers, truths: Sequence[Truth]) -> Assessment:  # noqa: ANN401
        said = task.decide(answers)
        pairs = [
            (set(cast(tuple[int, ...], truth)), set(np.flatnonzero(row).tolist()))
            for truth, row in zip(truths, said, strict=True)
        ]
        return self._assessment(pairs, said, lambda index: task.labels[index])


class EntityF1(F1):
    """Of whole entities: kind, first and last word must all be right."""

    def assess(self, task: Any, answers: Answers, truths: Sequence[Truth]) -> Assessment:  # noqa: ANN401
        said = [answer.argmax(axis=1) for answer in answers]

        def entities(indices: Iterable[int]) -> set[Span]:
            return set(spans_of([task.labels[index] for index in indices]))

        pairs = [
            (entities(cast(tuple[int, ...], truth)), entities(row))
            for truth, row in zip(truths, said, strict=True)
        ]
        return self._assessment(pairs, np.concatenate(said), lambda span: span.kind)


class SpearmanCosine:
    """Spearman's rank correlation of the pairs' cosines with the truth. rows: float [pairs, 2],
    cosine and truth.
    """

    def assess(self, task: Any, answers: Answers, truths: Sequence[Truth]) -> Assessment:  # noqa: ANN401
        vectors = np.stack(answers)
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        cosines = np.einsum("ij,ij->i", vectors[0::2], vectors[1::2])
        rows = np.stack([cosines, np.array(truths, dtype=np.float64)], axis=1)
        return Assessment(value=self.value(rows), rows=rows, said=vectors, classes={})

    def value(self, rows: np.ndarray) -> float:
        said, truth = ranks(rows[:, 0]), ranks(rows[:, 1])
        spread = said.std() * truth.std()
        return (
            float(np.mean((said - said.mean()) * (truth - truth.mean())) / spread)
            if spread
            else 0.0
        )

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        right, said = reference.rows, variant.rows
        alike = right[:, 1].max()
        lost = (np.array([[right[:, 0].max(), alike]]), np.array([[said[:, 0].min(), alike]]))
        return resample(self.value, right, said, lost)


METRICS: dict[str, Metric] = {
    "accuracy": Accuracy(),
    "micro_f1": MicroF1(),
    "entity_f1": EntityF1(),
    "spearman_cosine": SpearmanCosine(),
}


def agreement(task: Task, reference: Assessment, variant: Assessment) -> float:
    """The share of rows (of words, where those are labelled) on which both say the same; mean
    cosine for vectors.
    """
    if task.metric == "spearman_cosine":
        return float(np.mean(np.einsum("ij,ij->i", reference.said, variant.said)))
    same = reference.said == variant.said
    return float(np.mean(same if same.ndim == 1 else same.all(axis=1)))


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs; float64 [values]."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def _classes(pairs: Iterable[tuple[set[Any], set[Any]]], kind: Any) -> dict[str, Counts]:  # noqa: ANN401
    """Counts for each class from the true and the said items of each row."""
    found, false, missed = Counter[str](), Counter[str](), Counter[str]()
    for truth, said in pairs:
        found.update(map(kind, truth & said))
        false.update(map(kind, said - truth))
        missed.update(map(kind, truth - said))
    return {
        name: Counts(found=found[name], false=false[name], missed=missed[name])
        for name in sorted(found | false | missed)
    }
