"""Limits, statuses, the choice."""

from typing import Any

import pytest

from edgekit.nouns import Counts, Evidence, Paired, Setting, Variant
from edgekit.profiles.choose import choose, judge_all
from edgekit.profiles.choose import judge as judge_at
from edgekit.spec import Limits


def variant(name: str, precision: str = "int8", **figures: Any) -> Variant:  # noqa: ANN401
    """A measured variant; figures override the ordinary ones."""
    values: dict[str, Any] = {
        "quick": False, "setting": Setting(), "metric": "accuracy", "metric_value": 0.9, "reference_value": 0.9,
        "metric_bounds": ((0.5, 0.9), (0.95, 0.89), (0.999, 0.88)), "comparison": Paired(samples=3000, lost=0, gained=0),
        "judged_batch_size": 1, "agreement": 1.0, "batch_agreement": 1.0, "answer_error": 0.0,
        "max_answer_difference": 0.0, "classes": {}, "reliability": None, "p50_ms": 5.0, "p99_ms": 8.0, "latency_samples": 2000, "samples_per_s": 500.0,
        "size_bytes": 1, "peak_rss_bytes": 100_000_000, "load_ms": 1.0, "evaluation_sha256": "", "calibration_sha256": "",
        "golden_difference": 0.0, "machine": "", "versions": {},
    }  # fmt: skip
    return Variant(
        name=name, format="onnx", precision=precision, engine="onnxruntime", status="failed", reason="",
        evidence=Evidence(**(values | figures)),
    )  # fmt: skip


def judge(item: Variant, limits: Limits) -> Variant:
    """As the only one that was tried."""
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
        variant("a", comparison=Paired(samples=100, lost=0, gained=0)), Limits(max_accuracy_drop=0.01)
    )
    assert judged.status == "rejected"
    assert "too few samples to tell, about" in judged.reason


def test_a_p99_that_was_not_measured_keeps_no_limit() -> None:
    judged = judge(variant("a", p99_ms=None, latency_samples=300), Limits(p99_ms=50))
    assert judged.status == "rejected"
    assert "300 calls: too few samples to tell" in judged.reason


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
    """Of many that lost a little, one keeps the limit by luck: the confidence is shared out among them."""
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
    assert judge(variant("a", comparison=Paired(samples=100, lost=2, gained=0)), limits).status == "rejected"


def test_floors_for_classes_are_kept_by_their_lower_bound() -> None:
    classes = {"rare": Counts(found=58, missed=2, false=0), "common": Counts(found=970, missed=30, false=30)}
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
