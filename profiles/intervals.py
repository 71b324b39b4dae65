"""How sure a timing is: intervals from the spread between rounds, and from the order of the calls.

A process that is started anew runs at a slightly different speed (memory layout, placement of
threads), and the machine drifts, so the rounds are the samples and not the calls within them (T.
Kalibera and R. Jones, Rigorous benchmarking in reasonable time, ISMM 2013). Speeds are ratios:
means and intervals are taken on logarithms.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np

from edgekit.nouns import Figure

# Student's t, two-sided at 95 %, for 1, 2, ... 30 degrees of freedom; beyond, the normal's.
STUDENT = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)
NORMAL = 1.960
UNBOUNDED = sys.float_info.max  # JSON has no infinity


def figure(values: Sequence[float]) -> Figure:
    """Return the geometric mean of the rounds, with its interval.

    The interval of a single round is unbounded above.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    center = float(logs.mean())
    if len(logs) < 2:
        return Figure(value=math.exp(center), low=0.0, high=UNBOUNDED)
    reach = _student(len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return Figure(
        value=math.exp(center), low=math.exp(center - reach), high=math.exp(center + reach)
    )


def _student(freedom: float) -> float:
    place = max(1, math.floor(freedom))
    return STUDENT[place - 1] if place <= len(STUDENT) else NORMAL


def paired_ratio(values: Sequence[float], others: Sequence[float]) -> Figure:
    """Return how many times as large as `others` the values are.

    They are compared round by round, so that what disturbs both falls out.
    """
    return figure([a / b for a, b in zip(values, others, strict=True)])


def unpaired_ratio(values: Sequence[float], others: Sequence[float]) -> Figure:
    """Return how many times as large as `others` the values are, of rounds that are no pairs.

    Such rounds ran at different times or places (Welch's t).
    """
    logs = [np.log(np.asarray(item, dtype=np.float64)) for item in (values, others)]
    center = float(logs[0].mean() - logs[1].mean())
    if min(len(item) for item in logs) < 2:
        return Figure(value=math.exp(center), low=0.0, high=UNBOUNDED)
    parts = [float(item.var(ddof=1)) / len(item) for item in logs]
    spread = sum(parts)
    squares = sum(part**2 / (len(item) - 1) for part, item in zip(parts, logs, strict=True))
    freedom = spread**2 / squares if squares else math.inf
    reach = (_student(freedom) if math.isfinite(freedom) else NORMAL) * math.sqrt(spread)
    return Figure(
        value=math.exp(center), low=math.exp(center - reach), high=math.exp(center + reach)
    )


def percentile(times: np.ndarray, share: float) -> Figure | None:
    """Return a percentile of independent calls, with its interval from their order.

    None where the calls are too few for an interval. The interval is exact and free of any
    distribution (H. A. David, H. N. Nagaraja, Order Statistics, 2003, section 7.1).

    times: float64 [calls].
    share: 0.99 for p99.
    """
    ordered = np.sort(times)
    below = _binomial(len(ordered), share)  # P(at most k of the calls lie below the percentile)
    low = int(np.searchsorted(below, 0.025, side="right"))
    high = int(np.searchsorted(below, 0.975, side="left")) + 1
    if low < 1 or high > len(ordered):
        return None
    return Figure(
        value=float(np.quantile(ordered, share)),
        low=float(ordered[low - 1]),
        high=float(ordered[high - 1]),
    )


def _binomial(count: int, share: float) -> np.ndarray:
    """Return P(X <= k) for k = 0 ... count."""
    places = np.arange(count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    terms = (
        logs[count]
        - logs
        - logs[::-1]
        + places * math.log(share)
        + (count - places) * math.log1p(-share)
    )
    return np.asarray(np.cumsum(np.exp(terms)))
