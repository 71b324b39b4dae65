"""The gate's statistics, against published figures and against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.confidence import at_confidence, share_lower_bound, upper_bound
from edgekit.nouns import Paired
from edgekit.profiles.bootstrap import (
    CONFIDENCES,
    corrected,
    resample,
    samples_for_share,
    samples_to_tell,
)
from edgekit.profiles.evaluations.metrics import (
    F1,
    Accuracy,
    Assessment,
    Metric,
    SpearmanCosine,
    ranks,
)
from edgekit.profiles.quality_job import metric_bounds

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (Accuracy(), F1("micro_f1"), SpearmanCosine())
}


@pytest.mark.parametrize(
    ("lost", "gained", "samples"), [(12, 2, 14), (8, 2, 30), (4, 0, 54), (25, 21, 3080)]
)
def test_the_bound_inverts_the_score_test(lost: int, gained: int, samples: int) -> None:
    """The score statistic at the bound is -z, under the constrained maximum of the likelihood.

    The maximum is found by search.
    """
    bound = upper_bound(Paired(samples=samples, lost=lost, gained=gained), 0.95)
    gains = np.linspace(1e-9, (1 - bound) / 2 - 1e-9, 2_000_001)
    likelihood = lost * np.log(gains + bound) + (samples - lost - gained) * np.log(
        1 - 2 * gains - bound
    )
    likelihood += gained * np.log(gains) if gained else 0.0
    gain = gains[np.argmax(likelihood)]
    variance = samples * (2 * gain + bound - bound**2)
    assert (lost - gained - samples * bound) / np.sqrt(variance) == pytest.approx(
        -1.6448536, abs=2e-3
    )


def test_no_disagreement_still_leaves_doubt() -> None:
    """The bound is z² / (n + z²) where no pair disagrees."""
    z2 = 1.6448536**2
    assert upper_bound(Paired(samples=3080, lost=0, gained=0), 0.95) == pytest.approx(
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
    bound = upper_bound(paired, 0.95)
    assert paired.drop < bound <= 1
    assert upper_bound(paired, 0.99) >= bound


@pytest.mark.parametrize("drop", [0.0, 0.01, 0.03])
def test_coverage(drop: float) -> None:
    """The bound lies below the true drop in about 5 % of simulated evaluations, not more."""
    random = np.random.default_rng(7)
    samples, gained_rate = 1000, 0.01
    draws = random.multinomial(
        samples, [gained_rate + drop, gained_rate, 1 - drop - 2 * gained_rate], size=2000
    )
    below = [
        upper_bound(Paired(samples=samples, lost=int(lost), gained=int(gained)), 0.95) < drop
        for lost, gained, _ in draws
    ]
    assert np.mean(below) < 0.065


def test_pairs_are_counted() -> None:
    def right(*values: bool) -> Assessment:
        return Assessment(value=0, rows=np.array(values), said=np.array(values), classes={})

    paired = METRICS["accuracy"].compare(
        right(True, True, False, False, True), right(True, False, True, False, False)
    )
    assert paired == Paired(samples=5, lost=2, gained=1)


def test_how_many_samples_would_tell() -> None:
    few = Paired(samples=100, lost=0, gained=0)
    enough = samples_to_tell(few, 0.01, 0.95)
    assert enough is not None
    assert upper_bound(Paired(samples=enough, lost=0, gained=0), 0.95) < 0.01
    assert samples_to_tell(Paired(samples=100, lost=5, gained=0), 0.01, 0.95) is None


def test_resampled_agreement_leaves_the_doubt_of_the_rule_of_three() -> None:
    """One sentence in n/3 may be lost: with the plain bootstrap there would be no doubt at all."""
    rows = np.tile([2.0, 0.0, 0.0], (300, 1))
    resampled = resample(F1().value, rows, rows, (np.array([[2, 0, 0]]), np.array([[0, 0, 2]])))
    assert resampled.drop == 0
    # F1 loses half of what recall does
    assert upper_bound(resampled, 0.95) == pytest.approx(3 / 300 / 2, rel=0.25)
    assert samples_to_tell(resampled, 0.001, 0.95) is not None
    assert (
        upper_bound(resampled, 0.5) < upper_bound(resampled, 0.95) < upper_bound(resampled, 0.9999)
    )


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_the_bootstrap_covers_the_true_drop_of_f1(share: float) -> None:
    random = np.random.default_rng(11)
    below = 0
    for _ in range(30):
        found = random.integers(0, 4, 400).astype(float)
        reference = np.stack([found, 0 * found, 0 * found], axis=1)
        lost = random.binomial(found.astype(int), share)
        variant = np.stack([found - lost, 0 * found, lost], axis=1)
        both = resample(
            F1().value, reference, variant, (np.array([[1.5, 0, 0]]), np.array([[0, 0, 1.5]]))
        )
        true = 1 - 2 * (1 - share) / (2 - share)
        below += upper_bound(both, 0.95) < true
    assert below <= 5  # 5 % of 30 is 1.5; more than 5 has a chance of under 1 in 200


def assessed(metric: str, rows: np.ndarray) -> Assessment:
    return Assessment(value=METRICS[metric].value(rows), rows=rows, said=rows, classes={})


def lower_bound(metric: str, rows: np.ndarray, confidence: float = 0.95) -> float:
    """Return the lower bound of a metric's value, as `min_metric` is held against it."""
    return at_confidence(metric_bounds(METRICS[metric], assessed(metric, rows)), confidence)


def test_a_metric_of_perfect_rows_is_not_certain() -> None:
    """Three perfect rows prove nothing; the rule of three holds for many, as for a comparison."""
    found = np.array([2.0, 0.0, 0.0])
    assert lower_bound("micro_f1", np.tile(found, (3, 1))) < 0.7
    assert 1 - lower_bound("micro_f1", np.tile(found, (300, 1))) == pytest.approx(
        3 / 300 / 2, rel=0.25
    )
    in_order = np.stack([np.arange(3.0), np.arange(3.0)], axis=1)
    assert lower_bound("spearman_cosine", in_order) < 0


def test_the_lower_bound_of_f1_covers_the_true_value() -> None:
    """Where one row in a hundred is missed, most sets of 30 rows have none, and no spread."""
    random = np.random.default_rng(5)
    above = 0
    for _ in range(30):
        found = (random.random(30) < 0.99).astype(float)
        rows = np.stack([found, 0 * found, 1 - found], axis=1)
        above += lower_bound("micro_f1", rows) > 2 * 0.99 / (1 + 0.99)
    assert above <= 5  # as above


def test_the_confidence_is_shared_out() -> None:
    assert corrected(0.95, 1) == pytest.approx(0.95)
    assert corrected(0.95, 10) == pytest.approx(0.995)
    assert corrected(0.95, 0) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("hits", "total", "expected"),
    [(50, 50, 0.05 ** (1 / 50)), (9, 10, 0.6058), (95, 100, 0.8977), (0, 9, 0.0)],
)
def test_the_exact_bound_of_a_share(hits: int, total: int, expected: float) -> None:
    """Clopper and Pearson's bound is met: the beta distribution's quantile at 0.05.

    Its parameters are (hits, total - hits + 1).
    """
    assert share_lower_bound(hits, total, 0.95) == pytest.approx(expected, abs=2e-4)


def test_how_many_of_a_class_would_tell() -> None:
    enough = samples_for_share(58, 60, 0.95, 0.95)
    assert enough is not None
    assert share_lower_bound(int(enough * 58 / 60), enough, 0.95) > 0.95
    assert samples_for_share(50, 60, 0.95, 0.95) is None


def test_ranks_share_what_is_equal() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert CONFIDENCES[0] == 0.5
