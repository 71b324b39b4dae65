"""Metrics: what answers are worth in one number, and what a variant lost against the reference."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from edgekit.nouns import Comparison, Counts, Paired
from edgekit.profiles.bootstrap import resample

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What a model's answers to an evaluation set are worth.

    value: the metric over all rows.
    rows: what the metric is made of, first axis: the rows of the set.
    said: what was decided, unit by unit (rows, or words), for agreement.
    classes: for each class, how often it was found, missed, and said wrongly.
    """

    value: float
    rows: np.ndarray
    said: np.ndarray
    classes: dict[str, Counts]


class Metric(Protocol):
    """How one metric is computed.

    name: the word for it in evidence and reports.
    """

    name: str

    def value(self, rows: np.ndarray) -> float:
        """Compute the metric from (a resample of) an Assessment's rows."""

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        """Count what the variant lost, row by row."""

    def agreement(self, reference: Assessment, variant: Assessment) -> float:
        """Measure how far both say the same, right or wrong; 1 is always."""


class Decided:
    """What metrics of decisions share."""

    def agreement(self, reference: Assessment, variant: Assessment) -> float:
        """Return the share of rows (of words, where those are labelled) on which both agree."""
        same = reference.said == variant.said
        return float(np.mean(same if same.ndim == 1 else same.all(axis=1)))


class Accuracy(Decided):
    """The share of inputs whose label is right; rows: bool [samples]."""

    name = "accuracy"

    def value(self, rows: np.ndarray) -> float:
        """Return the share of rows that are right."""
        return float(np.mean(rows))

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        """Count the rows that only one of the two has right."""
        lost, gained = reference.rows & ~variant.rows, ~reference.rows & variant.rows
        return Paired(samples=len(lost), lost=int(lost.sum()), gained=int(gained.sum()))


class F1(Decided):
    """2 TP / (2 TP + FP + FN) over all rows.

    rows: float [samples, 3], true positives, false positives, false negatives. Where there is
    nothing to find and nothing was found, it is 1.
    """

    def __init__(self, name: str = "f1") -> None:
        self.name = name

    def value(self, rows: np.ndarray) -> float:
        """Compute F1 from the sums over the rows."""
        found, false, missed = rows.sum(axis=0)
        return float(2 * found / (2 * found + false + missed)) if found + false + missed else 1.0

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        """Resample the rows of both, with the doubt that a row leaves on which all is lost."""
        rows = reference.rows
        # what a row of this set has to be found
        size = max(1.0, float(np.mean(rows[:, 0] + rows[:, 2])))
        lost = (np.array([[size, 0, 0]]), np.array([[0, 0, size]]))
        return resample(self.value, rows, variant.rows, lost)

    def assess(
        self, pairs: list[tuple[set[T], set[T]]], said: np.ndarray, kind: Callable[[T], str]
    ) -> Assessment:
        """Count what is right, from the true and the said items of each row.

        kind: the class of an item.
        """
        rows = np.array([[len(t & s), len(s - t), len(t - s)] for t, s in pairs], dtype=np.float64)
        return Assessment(
            value=self.value(rows), rows=rows, said=said, classes=class_counts(pairs, kind)
        )


class SpearmanCosine:
    """Spearman's rank correlation of the pairs' cosines with the truth.

    rows: float [pairs, 2], cosine and truth.
    """

    name = "spearman_cosine"

    def value(self, rows: np.ndarray) -> float:
        """Compute the correlation of the ranks; 0 where all are equal."""
        said, truth = ranks(rows[:, 0]), ranks(rows[:, 1])
        spread = said.std() * truth.std()
        return (
            float(np.mean((said - said.mean()) * (truth - truth.mean())) / spread)
            if spread
            else 0.0
        )

    def compare(self, reference: Assessment, variant: Assessment) -> Comparison:
        """Resample the rows of both, with the doubt that one pair put at the wrong end leaves."""
        right, said = reference.rows, variant.rows
        alike = right[:, 1].max()
        lost = (np.array([[right[:, 0].max(), alike]]), np.array([[said[:, 0].min(), alike]]))
        return resample(self.value, right, said, lost)

    def agreement(self, reference: Assessment, variant: Assessment) -> float:
        """Return the mean cosine between the two models' vectors of the same input."""
        return float(np.mean(np.einsum("ij,ij->i", reference.said, variant.said)))


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1, equal ones sharing the mean of their ranks; float64 [values]."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def class_counts(
    pairs: Iterable[tuple[AbstractSet[T], AbstractSet[T]]], kind: Callable[[T], str]
) -> dict[str, Counts]:
    """Count for each class from the true and the said items of each row."""
    found, false, missed = Counter[str](), Counter[str](), Counter[str]()
    for truth, said in pairs:
        found.update(map(kind, truth & said))
        false.update(map(kind, said - truth))
        missed.update(map(kind, truth - said))
    return {
        name: Counts(found=found[name], false=false[name], missed=missed[name])
        for name in sorted(found | false | missed)
    }


if TYPE_CHECKING:
    _accuracy: Metric = Accuracy()
    _f1: Metric = F1()
    _spearman: Metric = SpearmanCosine()
