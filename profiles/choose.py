"""Choosing among variants: hard limits first, then the objective.

A rejected variant is a result, and keeps its reason.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from edgekit.confidence import at_confidence, share_lower_bound, upper_bound
from edgekit.edge.engines import engine_dependencies
from edgekit.nouns import (
    Broken,
    Choice,
    Counts,
    Evidence,
    Limits,
    Measured,
    MeasuredVariant,
    Status,
    Variant,
    measured,
)
from edgekit.profiles.bootstrap import corrected, samples_for_share, samples_to_tell
from edgekit.profiles.intervals import paired_ratio

# A variant that computes in floating point is the same model: where it answers otherwise, something
# is broken. The largest root mean square error of its answers, as a share of the reference's
# standard deviation.
LARGEST_ERROR = {"fp32": 0.002, "fp16": 0.02, "f16": 0.02, "bf16": 0.08}
LEAST_AGREEMENT = 0.995
TIE_CONFIDENCE = 0.95  # of the lower bound of the best accuracy; what reaches it is a tie
# a variant that was measured further behind the best is no tie, however noisy the machine
CLOSE = 1.1


class Judgement(NamedTuple):
    """What the limits say of one measurement; the fields are those of Variant."""

    status: Status
    reason: str
    broken: tuple[Broken, ...] = ()


def judge_all(
    results: Sequence[Measured | Variant], limits: Limits
) -> tuple[tuple[Variant, ...], float]:
    """Judge what was measured; what is a variant already, failed or skipped, stays as it is.

    Returns the variants in their order, and the confidence that each was tested at: it is higher
    than that of the limits, since the best of many is taken.
    """
    tried = sum(isinstance(item, Measured) for item in results)
    confidence = corrected(limits.confidence, tried)
    variants = tuple(
        judge(item, limits, confidence) if isinstance(item, Measured) else item for item in results
    )
    return variants, confidence


def judge(item: Measured, limits: Limits, confidence: float) -> Variant:
    """Make a variant of what was measured: failed, rejected with broken limits, or accepted."""
    artifact = item.artifact
    found = _judgement(artifact.precision, item.evidence, limits, confidence)
    return Variant(
        name=artifact.name,
        format=artifact.format,
        precision=artifact.precision,
        engine=artifact.engine,
        artifact=artifact,
        evidence=item.evidence,
        status=found.status,
        reason=found.reason,
        broken=found.broken,
    )


def _judgement(precision: str, evidence: Evidence, limits: Limits, confidence: float) -> Judgement:
    if reason := _why_broken(precision, evidence):
        return Judgement("failed", reason)
    broken = tuple(_broken_limits(evidence, limits, confidence))
    tolerated = [item for item in broken if item.too_few and limits.on_too_few == "accept"]
    text = "; ".join(_explain(item, evidence, confidence) for item in broken)
    if len(broken) > len(tolerated):
        return Judgement("rejected", text, broken)
    reason = f'accepted by on_too_few = "accept": {text}' if broken else "keeps every limit"
    return Judgement("accepted", reason)


def _why_broken(precision: str, evidence: Evidence) -> str | None:
    if precision not in LARGEST_ERROR:
        return None
    if evidence.quality.agreement < LEAST_AGREEMENT:
        return (
            f"agrees with the reference to {evidence.quality.agreement:.2%}; {precision} must reach"
            f" {LEAST_AGREEMENT:.1%}"
        )
    if evidence.quality.answer_error > LARGEST_ERROR[precision]:
        return (
            f"its answers are off by {evidence.quality.answer_error:.3g} of the reference's"
            f" standard deviation; {precision} may be off by {LARGEST_ERROR[precision]:g}"
        )
    return None


def _broken_limits(evidence: Evidence, limits: Limits, confidence: float) -> Iterator[Broken]:
    """List every limit that the evidence does not show to be kept."""
    yield from _accuracy_limits(evidence, limits, confidence)
    for name, floors in (
        ("min_recall", limits.min_recall),
        ("min_precision", limits.min_precision),
    ):
        for label, floor in floors.items():
            hits, total = _share(name, evidence.quality.classes.get(label))
            bound = share_lower_bound(hits, total, confidence) if total else None
            if bound is None or bound < floor:
                too_few = total == 0 or hits / total >= floor
                yield Broken(
                    limit=f"{name}.{label}",
                    measured=bound,
                    allowed=floor,
                    is_floor=True,
                    too_few=too_few,
                )
    performance = evidence.performance
    if limits.p99_ms is not None and (
        performance.p99_ms is None or performance.p99_ms.high > limits.p99_ms
    ):
        p99 = performance.p99_ms
        # Where the calls are too few for a p99, its place is known from below: it is no less than
        # p90.
        too_few = (p99 or performance.p90_ms).value <= limits.p99_ms
        yield Broken(
            limit="p99_ms",
            measured=p99.high if p99 else None,
            allowed=limits.p99_ms,
            too_few=too_few,
        )
    if limits.memory_mb is not None and performance.peak_rss_bytes / 1e6 > limits.memory_mb:
        yield Broken(
            limit="memory_mb", measured=performance.peak_rss_bytes / 1e6, allowed=limits.memory_mb
        )


def _accuracy_limits(evidence: Evidence, limits: Limits, confidence: float) -> Iterator[Broken]:
    if limits.max_accuracy_drop is not None:
        bound, allowed = (
            upper_bound(evidence.quality.comparison, confidence),
            limits.max_accuracy_drop,
        )
        if bound > allowed:
            too_few = evidence.quality.comparison.drop < allowed
            yield Broken(
                limit="max_accuracy_drop", measured=bound, allowed=allowed, too_few=too_few
            )
    if limits.min_metric is not None:
        bound, allowed = (
            at_confidence(evidence.quality.metric_bounds, confidence),
            limits.min_metric,
        )
        if bound < allowed:
            too_few = evidence.quality.metric_value >= allowed
            yield Broken(
                limit="min_metric", measured=bound, allowed=allowed, is_floor=True, too_few=too_few
            )


def _share(limit: str, counts: Counts | None) -> tuple[int, int]:
    """Return the hits and the total of a class that a floor is about."""
    if counts is None:
        return 0, 0
    return counts.found, counts.found + (counts.missed if limit == "min_recall" else counts.false)


def _explain(broken: Broken, evidence: Evidence, confidence: float) -> str:
    name, _, label = broken.limit.partition(".")
    if broken.measured is None:
        few = (
            f"{evidence.performance.calls} calls, p90 {evidence.performance.p90_ms.value:.4g}"
            if name == "p99_ms"
            else f"no sample of {label!r} to measure it on"
        )
        doubt = ": too few samples to tell" if broken.too_few else ""
        return f"{broken.limit}: {few}{doubt} / {broken.allowed:.4g}"
    text = f"{broken.limit} {broken.measured:.4g} / {broken.allowed:.4g}"
    if name == "p99_ms" and evidence.performance.p99_ms:
        text += (
            f" (measured {evidence.performance.p99_ms.value:.4g}; upper bound of"
            f" {evidence.performance.calls} calls)"
        )
        return f"{text}: too few samples to tell" if broken.too_few else text
    if name == "memory_mb":
        return text
    side, enough = ("lower" if broken.is_floor else "upper"), None
    if name == "max_accuracy_drop":
        found, samples = evidence.quality.comparison.drop, evidence.quality.comparison.samples
        enough = samples_to_tell(evidence.quality.comparison, broken.allowed, confidence)
    elif name == "min_metric":
        found, samples = evidence.quality.metric_value, evidence.quality.comparison.samples
    else:
        hits, samples = _share(name, evidence.quality.classes.get(label))
        found = hits / samples
        enough = samples_for_share(hits, samples, broken.allowed, confidence)
    text += f" (measured {found:.4f}; {confidence:.4g} {side} bound of {samples} samples)"
    if not broken.too_few:
        return text
    return f"{text}: too few samples to tell" + (f", about {enough} would do" if enough else "")


def choose(variants: Sequence[Variant], objective: str) -> Choice:
    """Choose the best accepted variant, or the simplest of those that tie with it.

    A tie is what the measurement can't tell from the best.

    Where none is accepted, the reason names the one that comes closest.
    """
    front = pareto(variants)
    accepted = [item for item in measured(variants) if item.status == "accepted"]
    if not accepted:
        return Choice(chosen=None, reason=_closest(variants), pareto=front)
    goal = GOALS[objective]
    known = [item for item in accepted if goal.value(item.evidence) is not None]
    if not known:
        return Choice(
            chosen=None,
            reason=f"the objective is {objective}, which nothing measures here",
            pareto=front,
        )
    best = min(known, key=lambda item: goal.cost(item.evidence))
    rivals = [item for item in known if item is best or goal.is_tie(best.evidence, item.evidence)]
    chosen = min(rivals, key=_simplicity)
    ties = tuple(item.name for item in rivals if item is not chosen)
    reason = (
        f"{goal.describe(chosen.evidence)}, of the {len(accepted)} variants that keep every limit"
        f" ({len(variants)} tried)"
    )
    if ties:
        reason += f"; a tie with {', '.join(ties)}, and the simplest of them"
    return Choice(chosen=chosen.name, reason=reason, ties=ties, pareto=front)


def _simplicity(variant: MeasuredVariant) -> tuple[int, int]:
    """Order variants by their bytes, then by the number of packages that their engine needs."""
    return variant.evidence.size_bytes, engine_dependencies(variant.engine)


class Goal(NamedTuple):
    """What an objective compares.

    value: the figure that is compared; None where it was not measured.
    what: the figure in words, with a place for its value.
    rounds: the costs round by round, where there are any.
    is_more_better: whether more of the value is better; less of a cost always is.
    bound: what the value is at least, where the doubt about it is not from rounds.
    """

    value: Callable[[Evidence], float | None]
    what: str  # with the value
    rounds: Callable[[Evidence], Sequence[float]] = lambda evidence: ()
    is_more_better: bool = False
    bound: Callable[[Evidence], float] | None = None

    def cost(self, evidence: Evidence) -> float:
        """Return a number of which less is better; what was not measured is worse than all."""
        value = self.value(evidence)
        if value is None:
            return math.inf
        return -value if self.is_more_better else value

    def is_tie(self, best: Evidence, other: Evidence) -> bool:
        """Whether the measurement can't tell the two apart, and they are close."""
        if self.bound is not None:
            value = self.value(other)
            return value is not None and value >= self.bound(best)
        ours, theirs = self.rounds(best), self.rounds(other)
        if not ours or len(ours) != len(theirs):
            return self.value(best) == self.value(other)
        ratio = paired_ratio(ours, theirs) if self.is_more_better else paired_ratio(theirs, ours)
        return ratio.low <= 1 and ratio.value <= CLOSE

    def describe(self, evidence: Evidence) -> str:
        """Return the first words of the reason."""
        return self.what.format(self.value(evidence))


GOALS = {
    "latency": Goal(
        lambda evidence: evidence.performance.p50_ms.value,
        "lowest p50 latency at batch 1, {:.2f} ms",
        lambda evidence: evidence.performance.round_p50_ms,
    ),
    "throughput": Goal(
        lambda evidence: evidence.performance.samples_per_s.value,
        "highest throughput, {:.0f} samples/s",
        lambda evidence: evidence.performance.round_samples_per_s,
        is_more_better=True,
    ),
    "energy": Goal(
        lambda evidence: (
            evidence.performance.energy_j.value if evidence.performance.energy_j else None
        ),
        "least energy for one input, {:.3g} J",
        lambda evidence: evidence.performance.round_energy_j,
    ),
    "size": Goal(lambda evidence: evidence.size_bytes, "smallest, {:.0f} bytes"),
    "accuracy": Goal(
        lambda evidence: round(evidence.quality.metric_value, 9),
        "most accurate, {:.4f}",
        is_more_better=True,
        bound=lambda evidence: round(
            at_confidence(evidence.quality.metric_bounds, TIE_CONFIDENCE), 9
        ),
    ),
}


def pareto(variants: Sequence[Variant]) -> tuple[str, ...]:
    """Return the names of the measured variants that no other variant dominates.

    Another dominates if it is at least as good in accuracy, latency and memory, and better in one.
    """
    costs = {
        item.name: _costs(item.evidence) for item in measured(variants) if item.status != "failed"
    }
    return tuple(
        name
        for name, mine in costs.items()
        if not any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in costs.values()
        )
    )


def _costs(evidence: Evidence) -> tuple[float, float, float]:
    performance = evidence.performance
    return -evidence.quality.metric_value, performance.p50_ms.value, performance.peak_rss_bytes


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
