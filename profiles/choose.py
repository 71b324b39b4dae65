"""Choosing: hard limits first, then the objective. A rejected variant is a result, and keeps its reason."""

from collections.abc import Sequence

import msgspec

from edgekit.nouns import Broken, Choice, Evidence, Variant
from edgekit.profiles.gate import drop_upper_bound, samples_to_tell
from edgekit.spec import Limits

# A variant that computes in floating point is the same model: where it disagrees, something is broken.
FLOAT_PRECISIONS = ("fp32", "fp16", "f16", "bf16")
LEAST_AGREEMENT = 0.995


def judge(variant: Variant, limits: Limits) -> Variant:
    """A measured variant with its status: failed, rejected with every broken limit, or accepted."""
    evidence = variant.evidence
    if evidence is None:
        return variant
    if variant.precision in FLOAT_PRECISIONS and evidence.agreement < LEAST_AGREEMENT:
        reason = (
            f"names the reference's label for {evidence.agreement:.2%} of the samples; "
            f"{variant.precision} must reach {LEAST_AGREEMENT:.1%}"
        )
        return msgspec.structs.replace(variant, status="failed", reason=reason)
    broken = broken_limits(evidence, limits)
    if broken:
        reason = "; ".join(_explain(item, evidence, limits) for item in broken)
        return msgspec.structs.replace(variant, status="rejected", reason=reason, broken=broken)
    return msgspec.structs.replace(variant, status="accepted", reason="keeps every limit")


def broken_limits(evidence: Evidence, limits: Limits) -> tuple[Broken, ...]:
    """Every limit that the evidence does not show to be kept."""
    checks: list[tuple[str, float | None, float | None]] = [
        ("p99_ms", evidence.p99_ms, limits.p99_ms),
        ("memory_mb", evidence.peak_rss_bytes / 1e6, limits.memory_mb),
    ]
    if limits.max_accuracy_drop is not None:
        bound = drop_upper_bound(evidence.paired, limits.confidence)
        checks.insert(0, ("max_accuracy_drop", bound, limits.max_accuracy_drop))
    return tuple(
        Broken(limit=name, measured=measured, allowed=allowed)
        for name, measured, allowed in checks
        if allowed is not None and (measured is None or measured > allowed)
    )


def _explain(broken: Broken, evidence: Evidence, limits: Limits) -> str:
    if broken.measured is None:
        return (
            f"{broken.limit}: {evidence.latency_samples} samples are too few to tell / {broken.allowed:.4g}"
        )
    text = f"{broken.limit} {broken.measured:.4g} / {broken.allowed:.4g}"
    if broken.limit != "max_accuracy_drop":
        return text
    paired = evidence.paired
    text += f" (measured {paired.drop:.4f}; {limits.confidence:.0%} upper bound of {paired.samples} samples)"
    enough = samples_to_tell(paired, broken.allowed, limits.confidence)
    return f"{text}: too few samples to tell, about {enough} would do" if enough else text


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
