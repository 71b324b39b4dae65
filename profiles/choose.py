"""Choosing: hard limits first, then the objective. A rejected variant is a result, and keeps its reason."""

from collections.abc import Iterator, Sequence

import msgspec

from edgekit.nouns import Broken, Choice, Counts, Evidence, Variant
from edgekit.profiles.gate import (
    at_confidence,
    corrected,
    samples_for_share,
    samples_to_tell,
    share_lower_bound,
    upper_bound,
)
from edgekit.spec import Limits

# A variant that computes in floating point is the same model: where it answers otherwise, something is broken.
# The largest root mean square error of its answers, as a share of the reference's standard deviation.
LARGEST_ERROR = {"fp32": 0.002, "fp16": 0.02, "f16": 0.02, "bf16": 0.08}
LEAST_AGREEMENT = 0.995


def judge_all(variants: Sequence[Variant], limits: Limits) -> tuple[tuple[Variant, ...], float]:
    """Every variant with its status, and the confidence that each was tested at: the best of many is taken."""
    confidence = corrected(limits.confidence, sum(variant.evidence is not None for variant in variants))
    return tuple(judge(variant, limits, confidence) for variant in variants), confidence


def judge(variant: Variant, limits: Limits, confidence: float) -> Variant:
    """A measured variant with its status: failed, rejected with every broken limit, or accepted."""
    evidence = variant.evidence
    if evidence is None:
        return variant
    if reason := _why_broken(variant.precision, evidence):
        return msgspec.structs.replace(variant, status="failed", reason=reason)
    broken = tuple(_broken_limits(evidence, limits, confidence))
    tolerated = [item for item in broken if item.too_few and limits.on_too_few == "accept"]
    text = "; ".join(_explain(item, evidence, confidence) for item in broken)
    if len(broken) > len(tolerated):
        return msgspec.structs.replace(variant, status="rejected", reason=text, broken=broken)
    reason = f'accepted by on_too_few = "accept": {text}' if broken else "keeps every limit"
    return msgspec.structs.replace(variant, status="accepted", reason=reason)


def _why_broken(precision: str, evidence: Evidence) -> str | None:
    if precision not in LARGEST_ERROR:
        return None
    if evidence.agreement < LEAST_AGREEMENT:
        return f"agrees with the reference to {evidence.agreement:.2%}; {precision} must reach {LEAST_AGREEMENT:.1%}"
    if evidence.answer_error > LARGEST_ERROR[precision]:
        return (
            f"its answers are off by {evidence.answer_error:.3g} of the reference's standard deviation; "
            f"{precision} may be off by {LARGEST_ERROR[precision]:g}"
        )
    return None


def _broken_limits(evidence: Evidence, limits: Limits, confidence: float) -> Iterator[Broken]:
    """Every limit that the evidence does not show to be kept."""
    yield from _accuracy_limits(evidence, limits, confidence)
    for name, floors in (("min_recall", limits.min_recall), ("min_precision", limits.min_precision)):
        for label, floor in floors.items():
            hits, total = _share(name, evidence.classes.get(label))
            bound = share_lower_bound(hits, total, confidence) if total else None
            if bound is None or bound < floor:
                too_few = total == 0 or hits / total >= floor
                yield Broken(
                    limit=f"{name}.{label}", measured=bound, allowed=floor, is_floor=True, too_few=too_few
                )
    for name, value, allowed in (
        ("p99_ms", evidence.p99_ms, limits.p99_ms),
        ("memory_mb", evidence.peak_rss_bytes / 1e6, limits.memory_mb),
    ):
        if allowed is not None and (value is None or value > allowed):
            yield Broken(limit=name, measured=value, allowed=allowed)


def _accuracy_limits(evidence: Evidence, limits: Limits, confidence: float) -> Iterator[Broken]:
    if limits.max_accuracy_drop is not None:
        bound, allowed = upper_bound(evidence.comparison, confidence), limits.max_accuracy_drop
        if bound > allowed:
            too_few = evidence.comparison.drop < allowed
            yield Broken(limit="max_accuracy_drop", measured=bound, allowed=allowed, too_few=too_few)
    if limits.min_metric is not None:
        bound, allowed = at_confidence(evidence.metric_bounds, confidence), limits.min_metric
        if bound < allowed:
            too_few = evidence.metric_value >= allowed
            yield Broken(limit="min_metric", measured=bound, allowed=allowed, is_floor=True, too_few=too_few)


def _share(limit: str, counts: Counts | None) -> tuple[int, int]:
    """How many of how many."""
    if counts is None:
        return 0, 0
    return counts.found, counts.found + (counts.missed if limit == "min_recall" else counts.false)


def _explain(broken: Broken, evidence: Evidence, confidence: float) -> str:
    name, _, label = broken.limit.partition(".")
    if broken.measured is None:
        few = (
            f"{evidence.latency_samples} calls"
            if name == "p99_ms"
            else f"no sample of {label!r} to measure it on"
        )
        return f"{broken.limit}: {few}: too few samples to tell / {broken.allowed:.4g}"
    text = f"{broken.limit} {broken.measured:.4g} / {broken.allowed:.4g}"
    if name in ("p99_ms", "memory_mb"):
        return text
    side, enough = ("lower" if broken.is_floor else "upper"), None
    if name == "max_accuracy_drop":
        measured, samples = evidence.comparison.drop, evidence.comparison.samples
        enough = samples_to_tell(evidence.comparison, broken.allowed, confidence)
    elif name == "min_metric":
        measured, samples = evidence.metric_value, evidence.comparison.samples
    else:
        hits, samples = _share(name, evidence.classes.get(label))
        measured = hits / samples
        enough = samples_for_share(hits, samples, broken.allowed, confidence)
    text += f" (measured {measured:.4f}; {confidence:.4g} {side} bound of {samples} samples)"
    if not broken.too_few:
        return text
    return f"{text}: too few samples to tell" + (f", about {enough} would do" if enough else "")


def choose(variants: Sequence[Variant], objective: str) -> Choice:
    """The best accepted variant; where none is, the reason names the one that comes closest."""
    accepted = [(item, item.evidence) for item in variants if item.status == "accepted" and item.evidence]
    if not accepted:
        return Choice(chosen=None, reason=_closest(variants))
    if objective == "throughput":
        best, evidence = max(accepted, key=lambda item: item[1].samples_per_s)
        figure = f"highest throughput, {evidence.samples_per_s:.0f} samples/s"
    else:
        best, evidence = min(accepted, key=lambda item: item[1].p50_ms)
        figure = f"lowest p50 latency at batch 1, {evidence.p50_ms:.2f} ms"
    reason = f"{figure}, of the {len(accepted)} variants that keep every limit ({len(variants)} tried)"
    return Choice(chosen=best.name, reason=reason)


def _closest(variants: Sequence[Variant]) -> str:
    rejected = [item for item in variants if item.broken]
    if not rejected:
        return "no variant could be measured; each one's reason is in the table"
    nearest = min(rejected, key=lambda item: max(broken.ratio for broken in item.broken))
    worst = max(nearest.broken, key=lambda broken: broken.ratio)
    how = "not known" if worst.measured is None else f"{worst.measured:.4g}"
    return (
        f"no variant keeps every limit; the closest is {nearest.name}: "
        f"{worst.limit} is {how} / {worst.allowed:.4g} ({worst.ratio:.2f} times the limit)"
    )
