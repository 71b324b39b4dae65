"""Intervals: checked against values worked out elsewhere, and by how often they hold."""

import math

import numpy as np
import pytest

from edgekit.profiles.intervals import figure, paired_ratio, percentile, unpaired_ratio


def test_the_interval_of_rounds_is_student_s_t_on_logarithms() -> None:
    """The interval is checked by hand.

    The logs of 1, 2 and 4 have mean log 2 and deviation log 2; t of 2 degrees of freedom is 4.303.
    """
    found = figure([1.0, 2.0, 4.0])
    assert found.value == pytest.approx(2.0)
    assert found.high / found.value == pytest.approx(2 ** (4.303 / math.sqrt(3)), rel=1e-6)
    assert found.low * found.high == pytest.approx(found.value**2)


def test_one_round_says_nothing_about_the_next() -> None:
    assert figure([3.0]).low == 0
    assert figure([3.0]).high > 1e300


def test_intervals_hold_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    held, ratio_held, percentile_held = 0, 0, 0
    for _ in range(600):
        a = np.exp(random.normal(0.0, 0.1, 5))
        drift = np.exp(random.normal(0, 0.5, 5))
        interval = figure(a.tolist())
        held += interval.low <= 1 <= interval.high
        ratio = paired_ratio((a * drift).tolist(), drift.tolist())
        ratio_held += ratio.low <= 1 <= ratio.high
        tail = percentile(random.exponential(1.0, 1000), 0.99)
        assert tail
        percentile_held += tail.low <= -math.log(0.01) <= tail.high
    assert [held, ratio_held, percentile_held] == pytest.approx([570] * 3, abs=18)


def test_drift_that_hits_both_falls_out_of_a_paired_ratio_only() -> None:
    drift = [1.0, 3.0, 0.5, 2.0]
    slow, fast = [1.2 * value for value in drift], drift
    assert paired_ratio(slow, fast).low > 1
    assert unpaired_ratio(slow, fast).low < 1 < unpaired_ratio(slow, fast).high
    assert unpaired_ratio([1.0, 1.01, 0.99], [2.0, 2.01, 1.99]).high < 1


def test_a_percentile_needs_enough_calls_for_an_interval() -> None:
    times = np.arange(1, 101, dtype=np.float64)
    assert percentile(times, 0.99) is None
    median = percentile(times, 0.5)
    assert median
    # the 40th and 61st of 100, as tables of the sign test have it
    assert (median.low, median.high) == (40, 61)
