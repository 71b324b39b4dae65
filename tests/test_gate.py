"""The gate's statistics, against published figures and against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.nouns import Paired
from edgekit.profiles.gate import drop_upper_bound, pair, samples_to_tell


@pytest.mark.parametrize(("lost", "gained", "samples"), [(12, 2, 14), (8, 2, 30), (4, 0, 54), (25, 21, 3080)])
def test_the_bound_inverts_the_score_test(lost: int, gained: int, samples: int) -> None:
    """At the bound, the score statistic under the constrained maximum of the likelihood, found by search, is -z."""
    bound = drop_upper_bound(Paired(samples=samples, lost=lost, gained=gained), 0.95)
    gains = np.linspace(1e-9, (1 - bound) / 2 - 1e-9, 2_000_001)
    likelihood = lost * np.log(gains + bound) + (samples - lost - gained) * np.log(1 - 2 * gains - bound)
    likelihood += gained * np.log(gains) if gained else 0.0
    gain = gains[np.argmax(likelihood)]
    variance = samples * (2 * gain + bound - bound**2)
    assert (lost - gained - samples * bound) / np.sqrt(variance) == pytest.approx(-1.6448536, abs=2e-3)


def test_no_disagreement_still_leaves_doubt() -> None:
    """With no pair in disagreement the bound is z² / (n + z²)."""
    z2 = 1.6448536**2
    assert drop_upper_bound(Paired(samples=3080, lost=0, gained=0), 0.95) == pytest.approx(
        z2 / (3080 + z2), rel=1e-4
    )


@given(
    st.integers(20, 4000).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n // 2), st.integers(0, n // 2))
    )
)
def test_the_bound_lies_above_the_measured_drop(case: tuple[int, int, int]) -> None:
    samples, lost, gained = case
    paired = Paired(samples=samples, lost=lost, gained=gained)
    bound = drop_upper_bound(paired, 0.95)
    assert paired.drop < bound <= 1
    assert drop_upper_bound(paired, 0.99) >= bound


@pytest.mark.parametrize("drop", [0.0, 0.01, 0.03])
def test_coverage(drop: float) -> None:
    """The bound lies below the true drop in about 5 % of simulated evaluations, not more."""
    random = np.random.default_rng(7)
    samples, gained_rate = 1000, 0.01
    draws = random.multinomial(
        samples, [gained_rate + drop, gained_rate, 1 - drop - 2 * gained_rate], size=2000
    )
    below = [
        drop_upper_bound(Paired(samples=samples, lost=int(lost), gained=int(gained)), 0.95) < drop
        for lost, gained, _ in draws
    ]
    assert np.mean(below) < 0.065


def test_pairs_are_counted() -> None:
    truth = np.array([0, 0, 1, 1, 1])
    paired = pair(np.array([0, 0, 1, 0, 0]), np.array([0, 1, 0, 1, 0]), truth)
    assert (paired.samples, paired.lost, paired.gained) == (5, 2, 1)


def test_how_many_samples_would_tell() -> None:
    few = Paired(samples=100, lost=0, gained=0)
    enough = samples_to_tell(few, 0.01, 0.95)
    assert enough is not None
    assert drop_upper_bound(Paired(samples=enough, lost=0, gained=0), 0.95) < 0.01
    assert samples_to_tell(Paired(samples=100, lost=5, gained=0), 0.01, 0.95) is None
