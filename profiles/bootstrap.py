"""The gate: how much a variant can have lost, as an upper bound and not as a point.

Variant and reference answer the same samples, so only the samples on which they differ count.

* Accuracy, and recall and precision of a class: see edgekit.confidence, which a device needs as
  well.
* F1 and rank correlation: the paired bootstrap (Efron and Tibshirani, An Introduction to the
  Bootstrap, 1993, ch. 13),
  with one made-up row on which the variant loses everything. Without it, samples that all agree
  would leave no doubt; with it, the doubt they leave is the rule of three: one row in n/3.

Several variants are tried, and the best of them is taken: each is tested at 1 - (1 - confidence) /
tried (Bonferroni).
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edgekit.confidence import share_lower_bound, tango, upper_bound
from edgekit.nouns import Comparison, Paired, Resampled

MOST_SAMPLES = 10_000_000  # beyond this, "more samples" is no advice
DRAWS = 4000
# One-sided; in between, bounds are interpolated on the scale of normal quantiles, and beyond they
# are continued on it.
CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def corrected(confidence: float, tried: int) -> float:
    """Return the confidence at which each of `tried` variants must be tested."""
    return 1 - (1 - confidence) / max(1, tried)


def samples_to_tell(comparison: Comparison, limit: float, confidence: float) -> int | None:
    """Return about how many samples, at the same rates, put the upper bound below the limit.

    None if no number of them would.
    """
    if comparison.drop >= limit:
        return None
    if isinstance(comparison, Resampled):
        # shrinks with the root of the samples
        width = upper_bound(comparison, confidence) - comparison.drop
        enough = math.ceil(comparison.samples * (width / (limit - comparison.drop)) ** 2)
        return max(enough, comparison.samples) if enough <= MOST_SAMPLES else None
    return _growing(
        comparison.samples,
        lambda samples: tango(_scaled(comparison, samples), confidence) < limit,
    )


def resample(
    value: Callable[[np.ndarray], float],
    reference: np.ndarray,
    variant: np.ndarray,
    lost: tuple[np.ndarray, np.ndarray],
) -> Resampled:
    """Resample the rows of the reference and of the variant together.

    value: the metric of such rows.
    lost: a made-up row that the variant lost, as the reference and as the variant answer it.
    """
    both = np.concatenate([reference, lost[0]]), np.concatenate([variant, lost[1]])
    drops = [value(both[0][rows]) - value(both[1][rows]) for rows in _draws(len(both[0]))]
    return Resampled(
        samples=len(reference), drop=value(reference) - value(variant), bounds=_quantiles(drops)
    )


def spread(
    value: Callable[[np.ndarray], float], rows: np.ndarray
) -> tuple[tuple[float, float], ...]:
    """Return how far below its value a metric may lie, as far as the rows differ.

    Each pair holds a one-sided confidence and a distance.
    """
    measured = value(rows)
    return _quantiles([measured - value(rows[draw]) for draw in _draws(len(rows))])


def _draws(count: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    return (random.integers(0, count, count) for _ in range(DRAWS))


def _quantiles(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((level, float(np.quantile(values, level))) for level in CONFIDENCES)


def samples_for_share(hits: int, total: int, floor: float, confidence: float) -> int | None:
    """Return about how many samples, at the same rate, put the lower bound above the floor.

    None if no number of them would.
    """
    if total == 0 or hits / total <= floor:
        return None
    return _growing(
        total,
        lambda samples: (
            share_lower_bound(math.floor(samples * hits / total), samples, confidence) > floor
        ),
    )


def _growing(samples: int, is_enough: Callable[[int], bool]) -> int | None:
    while samples < MOST_SAMPLES:
        if is_enough(samples):
            return samples
        samples = math.ceil(samples * 1.1) + 1
    return None


def _scaled(paired: Paired, samples: int) -> Paired:
    scale = samples / paired.samples
    return Paired(
        samples=samples,
        lost=math.ceil(paired.lost * scale),
        gained=math.floor(paired.gained * scale),
    )
