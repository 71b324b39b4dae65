"""Limits, statuses, the choice."""

from typing import Any

from edgekit.nouns import Evidence, Paired, Setting, Variant
from edgekit.profiles.choose import choose, judge
from edgekit.spec import Limits


def variant(name: str, precision: str = "int8", **figures: Any) -> Variant:  # noqa: ANN401
    """A measured variant; figures override the ordinary ones."""
    values: dict[str, Any] = {
        "quick": False, "setting": Setting(), "metric": "accuracy", "metric_value": 0.9, "reference_value": 0.9,
        "paired": Paired(samples=3000, lost=0, gained=0), "agreement": 1.0, "max_logit_difference": 0.0,
        "class_recall": {}, "p50_ms": 5.0, "p99_ms": 8.0, "latency_samples": 2000, "samples_per_s": 500.0,
        "size_bytes": 1, "peak_rss_bytes": 100_000_000, "load_ms": 1.0, "evaluation_sha256": "", "calibration_sha256": "",
        "golden_difference": 0.0, "machine": "", "versions": {},
    }  # fmt: skip
    return Variant(
        name=name, format="onnx", precision=precision, engine="onnxruntime", status="failed", reason="",
        evidence=Evidence(**(values | figures)),
    )  # fmt: skip


def test_every_broken_limit_is_named_as_measured_and_allowed() -> None:
    limits = Limits(max_accuracy_drop=0.01, p99_ms=7, memory_mb=90)
    judged = judge(variant("a", paired=Paired(samples=3000, lost=60, gained=0)), limits)
    assert judged.status == "rejected"
    assert [item.limit for item in judged.broken] == ["max_accuracy_drop", "p99_ms", "memory_mb"]
    assert "p99_ms 8 / 7" in judged.reason
    assert "memory_mb 100 / 90" in judged.reason
    assert "measured 0.0200" in judged.reason


def test_too_few_samples_is_an_answer() -> None:
    judged = judge(variant("a", paired=Paired(samples=100, lost=0, gained=0)), Limits(max_accuracy_drop=0.01))
    assert judged.status == "rejected"
    assert "too few samples to tell, about" in judged.reason


def test_a_p99_that_was_not_measured_keeps_no_limit() -> None:
    judged = judge(variant("a", p99_ms=None, latency_samples=300), Limits(p99_ms=50))
    assert judged.status == "rejected"
    assert "300 samples are too few" in judged.reason


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
