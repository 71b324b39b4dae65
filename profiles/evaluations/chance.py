"""Guessing: whether answers are better than what guesses would have, by bounds and not by points.

Each task has the measure that guesses can't improve: balanced accuracy (1 / the number of classes
that occur), the mean area under the labels' ROC curves (0.5), rank correlation (0), and F1 of
entities (that of the same answers given to other rows). docs/adr/0011 has the reasons.

Bounds are one-sided: the measure's standard error, together with what a few made-up rows that are
all right (or all wrong) would add, as independent errors add. How many rows is the rule of three:
-ln(1 - confidence). Without them, answers that are all alike would leave no doubt.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from edgekit.profiles.evaluations.metrics import SpearmanCosine, ranks

# What an advantage must at least be worth, as a share of the way from guessing to no mistake, for
# data that could show it and does not.
WORTH = 0.05


@dataclass(frozen=True)
class Bounded:
    """A measure with the lowest and the highest value that the rows do not rule out."""

    value: float
    low: float
    high: float

    def is_no_better(self, chance: float) -> bool:
        """Tell whether it is shown to be worth no more than guessing."""
        return self.high <= chance + WORTH * (1 - chance) and self.low <= chance


def bounded(value: float, error: float, doubt: float, confidence: float) -> Bounded:
    """Put bounds around a measure that lies between 0 and 1.

    error: its standard error. doubt: what one made-up row that is all right, or all wrong, changes.
    """
    rows = -math.log(1 - confidence)
    width = math.hypot(NormalDist().inv_cdf(confidence) * error, rows * doubt)
    return Bounded(value, max(0.0, value - width), min(1.0, value + width))


def balanced_accuracy(truth: np.ndarray, said: np.ndarray, confidence: float) -> Bounded:
    """Compute the mean recall of the classes that occur.

    Each class's recall has the error of a share, and a made-up row the weight of one in as many
    as would have the same error if all classes were as frequent.
    """
    counts = np.bincount(truth)
    occur = counts > 0
    hits = np.bincount(truth[truth == said], minlength=len(counts))[occur]
    counts = counts[occur]
    recalls = hits / counts
    error = math.sqrt(float(np.sum(recalls * (1 - recalls) / counts))) / len(counts)
    doubt = float(np.sum(1 / counts)) / len(counts) ** 2
    return bounded(float(np.mean(recalls)), error, doubt, confidence)


def mean_area(shares: np.ndarray, is_true: np.ndarray, confidence: float) -> Bounded | None:
    """Compute the mean area under the ROC curves of the labels that some inputs have and some not.

    None where there is no such label. Its error is that of E. DeLong and others, Biometrics 44,
    1988, 837-845: each input's share in the area, of all labels together.
    """
    positives = is_true.sum(axis=0)
    labels = np.flatnonzero((positives > 0) & (positives < len(is_true)))
    if len(labels) == 0:
        return None
    total, parts, areas = len(is_true), np.zeros(len(is_true)), []
    for label in labels:
        scores, is_one = shares[:, label], is_true[:, label]
        below = np.empty(total)  # the share of the other kind that is ranked on the right side
        everywhere = ranks(scores)
        for mask, others in ((is_one, total - positives[label]), (~is_one, positives[label])):
            below[mask] = (everywhere[mask] - ranks(scores[mask])) / others
        below[~is_one] = 1 - below[~is_one]
        area = float(np.mean(below[is_one]))
        parts += (below - area) * np.where(is_one, total / positives[label], 0)
        parts += (below - area) * np.where(is_one, 0, total / (total - positives[label]))
        areas.append(area)
    fewer = np.minimum(positives, total - positives)[labels]
    error = math.sqrt(float(np.mean(np.square(parts / len(labels)))) / total)
    doubt = float(np.sum(1 / fewer)) / len(labels) ** 2
    return bounded(float(np.mean(areas)), error, doubt, confidence)


def rank_correlation(rows: np.ndarray, confidence: float) -> Bounded:
    """Compute Spearman's correlation of two columns, with Fisher's bounds.

    Their error is that of D. Bonett and T. Wright, Psychometrika 65, 2000, 23-28. The value that
    they are put around is kept from one: ranks that all agree leave doubt, too.
    """
    value, count = SpearmanCosine().value(rows), len(rows)
    if count <= 3:
        return Bounded(value, -1.0, 1.0)
    kept = max(-1 + 1 / count, min(1 - 1 / count, value))
    error = math.sqrt((1 + kept * kept / 2) / (count - 3)) * NormalDist().inv_cdf(confidence)
    return Bounded(value, math.tanh(math.atanh(kept) - error), math.tanh(math.atanh(kept) + error))


def entity_f1(
    right: Sequence[AbstractSet[Hashable]], said: Sequence[AbstractSet[Hashable]], confidence: float
) -> tuple[Bounded, float]:
    """Compute F1 over all rows, and what the same answers would have on other rows.

    The latter is the mean over every way to deal the answers out again, so it needs no shuffling.
    """
    found = np.array([len(a & b) for a, b in zip(right, said, strict=True)], dtype=np.float64)
    sizes = np.array([len(a) + len(b) for a, b in zip(right, said, strict=True)])
    value = float(2 * found.sum() / sizes.sum())
    error = math.sqrt(float(np.mean(np.square(2 * found - value * sizes))) / len(found))
    total, in_a_row = float(sizes.sum()), max(1.0, float(np.mean([len(row) for row in right])))
    # what one more row changes that is all right, and what one that is all missed
    gain = 2 * in_a_row * (1 - value) / (total + 2 * in_a_row)
    loss = in_a_row * value / (total + in_a_row)
    true_spans, said_spans = _counted(right), _counted(said)
    both = sum(count * said_spans[span] for span, count in true_spans.items())
    chance = 2 * both / len(found) / total
    return bounded(value, error / float(np.mean(sizes)), max(gain, loss), confidence), chance


def _counted(rows: Iterable[AbstractSet[Hashable]]) -> Counter[Hashable]:
    return Counter(span for row in rows for span in row)
