"""Limits, statuses, the choice."""

import msgspec
import pytest

from edgekit.nouns import Counts, Figure, Limits, Measured, Paired, Variant
from edgekit.profiles.choose import choose, judge_all
from edgekit.profiles.choose import judge as judge_at
from tests.evidence import exactly, variant


def judge(item: Measured, limits: Limits) -> Variant:
    """Judge a variant as the only one that was tried."""
    return judge_at(item, limits, limits.confidence)


def test_every_broken_limit_is_named_as_measured_and_allowed() -> None:
    limits = Limits(max_accuracy_drop=0.01, p99_ms=7, memory_mb=90)
    judged = judge(variant("a", comparison=Paired(samples=3000, lost=60, gained=0)), limits)
    assert judged.status == "rejected"
    assert [item.limit for item in judged.broken] == ["max_accuracy_drop", "p99_ms", "memory_mb"]
    assert "p99_ms 8 / 7" in judged.reason
    assert "memory_mb 100 / 90" in judged.reason
    assert "measured 0.0200" in judged.reason


def test_too_few_samples_is_an_answer() -> None:
    judged = judge(
        variant("a", comparison=Paired(samples=100, lost=0, gained=0)),
        Limits(max_accuracy_drop=0.01),
    )
    assert judged.status == "rejected"
    assert "too few samples to tell, about" in judged.reason


def test_a_p99_that_was_not_measured_keeps_no_limit() -> None:
    slow = variant("a", p50_ms=20.0, p99_ms=None, calls=300)  # its p90 is 24 ms
    judged = judge(slow, Limits(p99_ms=50))
    assert judged.status == "rejected"
    assert "300 calls, p90 24: too few samples to tell" in judged.reason
    assert judge(slow, Limits(p99_ms=50, on_too_few="accept")).status == "accepted"


def test_a_p90_beyond_the_limit_of_p99_is_no_doubt() -> None:
    slow = variant("a", p50_ms=20.0, p99_ms=None, calls=300)
    judged = judge(slow, Limits(p99_ms=22, on_too_few="accept"))
    assert judged.status == "rejected"
    assert "too few" not in judged.reason


def test_a_float_variant_that_disagrees_is_failed() -> None:
    for precision in ("fp32", "f16", "bf16"):
        assert judge(variant("a", precision, agreement=0.99), Limits()).status == "failed"
        assert judge(variant("a", precision, agreement=0.996), Limits()).status == "accepted"
    assert judge(variant("a", "int8", agreement=0.9), Limits()).status == "accepted"


def test_the_objective_decides_among_the_accepted() -> None:
    fast = judge(variant("fast", p50_ms=2.0, samples_per_s=100.0), Limits())
    wide = judge(variant("wide", p50_ms=4.0, samples_per_s=900.0), Limits())
    broken = judge(variant("broken", p50_ms=1.0, p99_ms=99.0), Limits(p99_ms=50))
    assert choose([fast, wide, broken], "latency").chosen == "fast"
    assert choose([fast, wide, broken], "throughput").chosen == "wide"


def test_without_a_choice_the_closest_is_named() -> None:
    limits = Limits(p99_ms=4, memory_mb=90)
    near = judge(variant("near", p99_ms=5.0), limits)
    far = judge(variant("far", p99_ms=40.0), limits)
    choice = choose([far, near], "latency")
    assert choice.chosen is None
    assert "the closest is near: p99_ms is 5 / 4" in choice.reason


def test_the_more_variants_are_tried_the_surer_each_must_be() -> None:
    """The confidence is shared out among the variants that are tried.

    If many lost a little, one keeps the limit by luck.
    """
    limits = Limits(max_accuracy_drop=0.01)
    lossy = variant("a", comparison=Paired(samples=3000, lost=25, gained=10))
    alone, confidence = judge_all([lossy], limits)
    assert (alone[0].status, confidence) == ("accepted", 0.95)
    blank = Variant(name="b", format="", precision="", engine="", status="skipped", reason="")
    among, confidence = judge_all([lossy] * 10 + [blank], limits)
    assert {item.status for item in among[:10]} == {"rejected"}
    assert confidence == pytest.approx(0.995)
    assert "0.995 upper bound of 3000 samples): too few samples to tell, about" in among[0].reason


def test_too_few_samples_can_be_accepted_but_a_loss_can_not() -> None:
    limits = Limits(max_accuracy_drop=0.01, on_too_few="accept")
    few = judge(variant("a", comparison=Paired(samples=100, lost=0, gained=0)), limits)
    assert few.status == "accepted"
    assert 'accepted by on_too_few = "accept": max_accuracy_drop' in few.reason
    assert (
        judge(variant("a", comparison=Paired(samples=100, lost=2, gained=0)), limits).status
        == "rejected"
    )


def test_floors_for_classes_are_kept_by_their_lower_bound() -> None:
    classes = {
        "rare": Counts(found=58, missed=2, false=0),
        "common": Counts(found=970, missed=30, false=30),
    }
    measured = variant("a", classes=classes)
    assert (
        judge(measured, Limits(min_recall={"common": 0.95}, min_precision={"common": 0.95})).status
        == "accepted"
    )
    rare = judge(measured, Limits(min_recall={"rare": 0.95}))
    assert rare.status == "rejected"
    assert (
        "min_recall.rare 0.8988 / 0.95 (measured 0.9667; 0.95 lower bound of 60 samples): too few"
        in rare.reason
    )
    lost = judge(measured, Limits(min_recall={"common": 0.98}, on_too_few="accept"))
    assert lost.status == "rejected"
    assert "too few" not in lost.reason
    assert "no sample of 'absent'" in judge(measured, Limits(min_recall={"absent": 0.5})).reason


def test_the_metric_alone_can_be_the_gate() -> None:
    assert judge(variant("a"), Limits(min_metric=0.88)).status == "accepted"
    assert "min_metric 0.89 / 0.895" in judge(variant("a"), Limits(min_metric=0.895)).reason


def test_a_float_variant_whose_answers_are_off_is_failed() -> None:
    assert judge(variant("a", "fp32", answer_error=0.01), Limits()).status == "failed"
    assert judge(variant("a", "fp16", answer_error=0.01), Limits()).status == "accepted"


def test_a_p99_whose_doubt_breaks_the_limit_is_too_few_calls() -> None:
    p99 = Figure(value=8.0, low=7.0, high=12.0)
    measured = variant("a")
    performance = msgspec.structs.replace(measured.evidence.performance, p99_ms=p99)
    doubtful = msgspec.structs.replace(
        measured, evidence=msgspec.structs.replace(measured.evidence, performance=performance)
    )
    judged = judge(doubtful, Limits(p99_ms=10))
    assert (
        "p99_ms 12 / 10 (measured 8; upper bound of 2000 calls): too few samples to tell"
        in judged.reason
    )
    assert judge(doubtful, Limits(p99_ms=10, on_too_few="accept")).status == "accepted"
    assert judge(doubtful, Limits(p99_ms=7, on_too_few="accept")).status == "rejected"


def noisy(name: str, rounds: tuple[float, ...], size_bytes: int) -> Variant:
    """Accepted, with these medians."""
    return judge(
        variant(name, p50_ms=rounds[0], round_p50_ms=rounds, size_bytes=size_bytes), Limits()
    )


def test_what_the_rounds_can_not_tell_apart_is_a_tie_and_the_smaller_wins() -> None:
    """A variant that is faster in only two rounds of three ties with a smaller one, which wins.

    The third variant is slower in each round, by more than the doubt.
    """
    fast = noisy("fast", (2.00, 2.10, 2.05), 90)
    small = noisy("small", (2.05, 2.05, 2.10), 20)
    slow = noisy("slow", (2.20, 2.31, 2.25), 10)
    choice = choose([fast, small, slow], "latency")
    assert (choice.chosen, choice.ties) == ("small", ("fast",))
    assert "a tie with fast, and the simplest of them" in choice.reason


def test_noise_makes_no_tie_of_variants_that_are_far_apart() -> None:
    fast = noisy("fast", (2.0, 4.0, 1.5), 90)
    slow = noisy("slow", (4.0, 3.5, 6.0), 10)
    choice = choose([fast, slow], "latency")
    assert (choice.chosen, choice.ties) == ("fast", ())


def test_size_accuracy_and_energy_are_objectives_too() -> None:
    small = judge(variant("small", size_bytes=10, metric_value=0.8), Limits())
    right = judge(variant("right", size_bytes=20, metric_value=0.9), Limits())
    thrifty = judge(
        variant(
            "thrifty",
            size_bytes=30,
            metric_value=0.7,
            energy_j=exactly(0.1),
            round_energy_j=(0.1,) * 3,
        ),
        Limits(),
    )
    everyone = [small, right, thrifty]
    assert choose(everyone, "size").chosen == "small"
    assert choose(everyone, "accuracy").chosen == "right"
    assert choose(everyone, "energy").chosen == "thrifty"
    assert "nothing measures here" in choose([small, right], "energy").reason


def test_accuracies_within_the_doubt_are_a_tie_and_the_smaller_wins() -> None:
    right = judge(variant("right", size_bytes=90), Limits())  # 0.9, and at least 0.89
    small = judge(variant("small", size_bytes=20, metric_value=0.895), Limits())
    tiny = judge(variant("tiny", size_bytes=1, metric_value=0.88), Limits())
    choice = choose([right, small, tiny], "accuracy")
    assert (choice.chosen, choice.ties) == ("small", ("right",))


def test_the_pareto_front_keeps_what_nothing_else_beats_in_everything() -> None:
    fast = judge(variant("fast", p50_ms=1.0, metric_value=0.88), Limits())
    right = judge(variant("right", p50_ms=4.0, metric_value=0.9), Limits())
    lean = judge(variant("lean", p50_ms=4.0, metric_value=0.88, peak_rss_bytes=1_000_000), Limits())
    beaten = judge(variant("beaten", p50_ms=2.0, metric_value=0.88), Limits())
    assert choose([fast, right, lean, beaten], "latency").pareto == ("fast", "right", "lean")
