"""The gate: how much accuracy a variant can have lost, as an upper bound and not as a point.

Variant and reference answer the same samples, so only the samples on which one is right and the other wrong count.
The interval is Tango's score interval for a difference of paired proportions (T. Tango, Statistics in Medicine 17,
1998, 891-908): it keeps its coverage where few pairs, or none, disagree.
"""

import math
from statistics import NormalDist

import numpy as np

from edgekit.nouns import Paired

MOST_SAMPLES = 10_000_000  # beyond this, "more samples" is no advice


def pair(reference: np.ndarray, variant: np.ndarray, labels: np.ndarray) -> Paired:
    """Count from predicted and true label indices, int64 [samples] each."""
    right, still = reference == labels, variant == labels
    return Paired(
        samples=len(labels), lost=int(np.sum(right & ~still)), gained=int(np.sum(~right & still))
    )  # fmt: skip


def drop_upper_bound(paired: Paired, confidence: float) -> float:
    """The largest drop in accuracy (0 to 1) that the samples do not rule out, one-sided at `confidence`."""
    critical = NormalDist().inv_cdf(confidence)
    low, high = max(paired.drop, -1.0), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _score(paired.lost, paired.gained, paired.samples, middle) > -critical:
            low = middle
        else:
            high = middle
    return high


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


def samples_to_tell(paired: Paired, limit: float, confidence: float) -> int | None:
    """About how many samples, at the same rates, would put the upper bound below the limit; None if none would."""
    if paired.drop >= limit:
        return None
    samples = paired.samples
    while samples < MOST_SAMPLES:
        scale = samples / paired.samples
        scaled = Paired(
            samples=samples, lost=math.ceil(paired.lost * scale), gained=math.floor(paired.gained * scale)
        )  # fmt: skip
        if drop_upper_bound(scaled, confidence) < limit:
            return samples
        samples = math.ceil(samples * 1.1) + 1
    return None
