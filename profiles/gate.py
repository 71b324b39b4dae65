"""The gate: how much a variant can have lost, as an upper bound and not as a point.

Variant and reference answer the same samples, so only the samples on which they differ count.

* Accuracy: Tango's score interval for a difference of paired proportions (T. Tango, Statistics in Medicine 17, 1998,
  891-908): it keeps its coverage where few pairs, or none, disagree.
* F1 and rank correlation: the paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13),
  with one made-up row on which the variant loses everything. Without it, samples that all agree would leave no doubt;
  with it, the doubt they leave is the rule of three: one row in n/3.
* Recall and precision of a class: the exact binomial interval (Clopper and Pearson, Biometrika 26, 1934, 404-413).

Several variants are tried, and the best of them is taken: each is tested at 1 - (1 - confidence) / tried (Bonferroni).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np

from edgekit.nouns import Comparison, Paired, Resampled

MOST_SAMPLES = 10_000_000  # beyond this, "more samples" is no advice
DRAWS = 4000
# One-sided; in between, bounds are interpolated on the scale of normal quantiles, and beyond they are continued on it.
CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def corrected(confidence: float, tried: int) -> float:
    """The confidence at which each of `tried` variants must be tested."""
    return 1 - (1 - confidence) / max(1, tried)


def upper_bound(comparison: Comparison, confidence: float) -> float:
    """The largest drop that the samples do not rule out, one-sided at `confidence`."""
    if isinstance(comparison, Resampled):
        return at_confidence(comparison.bounds, confidence)
    return _tango(comparison, confidence)


def samples_to_tell(comparison: Comparison, limit: float, confidence: float) -> int | None:
    """About how many samples, at the same rates, would put the upper bound below the limit; None if none would."""
    if comparison.drop >= limit:
        return None
    if isinstance(comparison, Resampled):
        width = upper_bound(comparison, confidence) - comparison.drop  # shrinks with the root of the samples
        enough = math.ceil(comparison.samples * (width / (limit - comparison.drop)) ** 2)
        return max(enough, comparison.samples) if enough <= MOST_SAMPLES else None
    return _growing(
        comparison.samples,
        lambda samples: _tango(_scaled(comparison, samples), confidence) < limit,
    )


def resample(
    value: Callable[[np.ndarray], float],
    reference: np.ndarray,
    variant: np.ndarray,
    lost: tuple[np.ndarray, np.ndarray],
) -> Resampled:
    """Resample the rows of both together. lost: a made-up row as the reference and as the variant answer it."""
    both = np.concatenate([reference, lost[0]]), np.concatenate([variant, lost[1]])
    drops = [value(both[0][rows]) - value(both[1][rows]) for rows in _draws(len(both[0]))]
    return Resampled(samples=len(reference), drop=value(reference) - value(variant), bounds=_quantiles(drops))


def spread(value: Callable[[np.ndarray], float], rows: np.ndarray) -> tuple[tuple[float, float], ...]:
    """How far below its measured value a metric may lie: pairs of a one-sided confidence and a distance."""
    measured = value(rows)
    return _quantiles([measured - value(rows[draw]) for draw in _draws(len(rows))])


def _draws(count: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    return (random.integers(0, count, count) for _ in range(DRAWS))


def _quantiles(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((level, float(np.quantile(values, level))) for level in CONFIDENCES)


def share_lower_bound(hits: int, total: int, confidence: float) -> float:
    """The smallest share that `hits` of `total` do not rule out, one-sided at `confidence`; exact."""
    if hits == 0:
        return 0.0
    return _bisect(lambda share: _at_least(hits, total, share) < 1 - confidence, 0.0)[0]


def samples_for_share(hits: int, total: int, floor: float, confidence: float) -> int | None:
    """About how many samples, at the same rate, would put the lower bound above the floor; None if none would."""
    if total == 0 or hits / total <= floor:
        return None
    return _growing(
        total,
        lambda samples: share_lower_bound(math.floor(samples * hits / total), samples, confidence) > floor,
    )


def _at_least(hits: int, total: int, share: float) -> float:
    """P(X >= hits) for X of the binomial distribution."""
    if share <= 0 or share >= 1:
        return float(share >= 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    counts = np.arange(hits, total + 1)
    terms = logs[total] - logs[counts] - logs[total - counts]
    terms = terms + counts * math.log(share) + (total - counts) * math.log1p(-share)
    return float(np.exp(terms).sum())


def _bisect(is_low: Callable[[float], bool], low: float) -> tuple[float, float]:
    """The last place from `low` to 1 that is low, and the first that is not."""
    high = 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_low(middle) else (low, middle)
    return low, high


def at_confidence(bounds: tuple[tuple[float, float], ...], confidence: float) -> float:
    """A bound that was kept at several confidences, at another one."""
    places = [NormalDist().inv_cdf(level) for level, _ in bounds]
    values = [value for _, value in bounds]
    place = NormalDist().inv_cdf(confidence)
    if place <= places[-1]:
        return float(np.interp(place, places, values))
    slope = (values[-1] - values[-2]) / (places[-1] - places[-2])
    return values[-1] + slope * (place - places[-1])


def _growing(samples: int, is_enough: Callable[[int], bool]) -> int | None:
    while samples < MOST_SAMPLES:
        if is_enough(samples):
            return samples
        samples = math.ceil(samples * 1.1) + 1
    return None


def _scaled(paired: Paired, samples: int) -> Paired:
    scale = samples / paired.samples
    return Paired(
        samples=samples, lost=math.ceil(paired.lost * scale), gained=math.floor(paired.gained * scale)
    )  # fmt: skip


def _tango(paired: Paired, confidence: float) -> float:
    critical = NormalDist().inv_cdf(confidence)

    def is_low(drop: float) -> bool:
        return _score(paired.lost, paired.gained, paired.samples, drop) > -critical

    return _bisect(is_low, max(paired.drop, -1.0))[1]


def _score(lost: float, gained: float, samples: float, drop: float) -> float:
    """Tango's statistic for the hypothesis that the true drop is `drop`."""
    a = 2 * samples
    b = -lost - gained + (2 * samples - lost + gained) * drop
    c = -gained * drop * (1 - drop)
    nuisance = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = samples * (2 * nuisance + drop * (1 - drop))
    difference = lost - gained - samples * drop
    if variance <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)
