"""Bounds on how much a variant can have lost: what its evidence says at a given confidence.

A bound and not a point, because a small sample leaves room for a larger loss than it shows.

* Accuracy: Tango's score interval for a difference of paired proportions (T. Tango, Statistics in
  Medicine 17, 1998, 891-908): it keeps its coverage where few pairs, or none, disagree.
* Other metrics: the bounds that a paired bootstrap left in the evidence (see
  edgekit.profiles.bootstrap).
* Recall and precision of a class: the exact binomial interval (Clopper and Pearson, Biometrika 26,
  1934, 404-413).
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from edgekit.nouns import Comparison, Paired, Resampled


def upper_bound(comparison: Comparison, confidence: float) -> float:
    """Return the largest drop that the samples do not rule out, one-sided at `confidence`."""
    if isinstance(comparison, Resampled):
        return at_confidence(comparison.bounds, confidence)
    return tango(comparison, confidence)


def share_lower_bound(hits: int, total: int, confidence: float) -> float:
    """Return the smallest share that `hits` of `total` do not rule out.

    The bound is exact (not an approximation) and one-sided at `confidence`.
    """
    if hits == 0:
        return 0.0
    return _bisect(lambda share: _at_least(hits, total, share) < 1 - confidence, 0.0)[0]


def at_confidence(bounds: tuple[tuple[float, float], ...], confidence: float) -> float:
    """Return at one confidence a bound that was kept at several others."""
    places = [NormalDist().inv_cdf(level) for level, _ in bounds]
    values = [value for _, value in bounds]
    place = NormalDist().inv_cdf(confidence)
    if place <= places[-1]:
        return float(np.interp(place, places, values))
    slope = (values[-1] - values[-2]) / (places[-1] - places[-2])
    return values[-1] + slope * (place - places[-1])


def _at_least(hits: int, total: int, share: float) -> float:
    """Return P(X >= hits) for X of the binomial distribution."""
    if share <= 0 or share >= 1:
        return float(share >= 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    counts = np.arange(hits, total + 1)
    terms = logs[total] - logs[counts] - logs[total - counts]
    terms = terms + counts * math.log(share) + (total - counts) * math.log1p(-share)
    return float(np.exp(terms).sum())


def _bisect(is_low: Callable[[float], bool], low: float) -> tuple[float, float]:
    """Return the last place from `low` to 1 that is low, and the first that is not."""
    high = 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_low(middle) else (low, middle)
    return low, high


def tango(paired: Paired, confidence: float) -> float:
    critical = NormalDist().inv_cdf(confidence)

    def is_low(drop: float) -> bool:
        return _score(paired.lost, paired.gained, paired.samples, drop) > -critical

    return _bisect(is_low, max(paired.drop, -1.0))[1]


def _score(lost: float, gained: float, samples: float, drop: float) -> float:
    """Return Tango's statistic for the hypothesis that the true drop is `drop`."""
    a = 2 * samples
    b = -lost - gained + (2 * samples - lost + gained) * drop
    c = -gained * drop * (1 - drop)
    nuisance = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = samples * (2 * nuisance + drop * (1 - drop))
    difference = lost - gained - samples * drop
    if variance <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)
