"""The choice and why, in plain words and a few figures: what stands at the top of the page."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgekit.confidence import upper_bound
from edgekit.console import human_bytes
from edgekit.nouns import Build, Evidence, Figure, MeasuredVariant
from edgekit.profiles.intervals import UNBOUNDED, paired_ratio


class Cell(NamedTuple):
    """A figure, and below it in small letters what is to be known about it."""

    text: str
    small: str = ""
    css: str = ""


def chosen_of(build: Build) -> MeasuredVariant | None:
    """Return the variant to ship, with its evidence; None if nothing was chosen."""
    return next((item for item in build.measured if item.name == build.choice.chosen), None)


def yardstick(build: Build, others: Sequence[MeasuredVariant]) -> MeasuredVariant | None:
    """Return the variant that the chosen one is held against.

    It is one in fp32, else the most accurate of the accepted ones.
    """
    others = [item for item in others if item.name != build.choice.chosen]
    floats = [item for item in others if item.precision == "fp32" and item.status != "failed"]
    accepted = [item for item in others if item.status == "accepted"]
    best = max(accepted, key=lambda item: item.evidence.quality.metric_value, default=None)
    return floats[0] if floats else best


def in_words(build: Build) -> Iterator[str]:
    """Yield sentences about a build for a reader who has not built it."""
    chosen = chosen_of(build)
    if chosen is None:
        yield f"Nothing is chosen: {build.choice.reason}."
        return
    evidence = chosen.evidence
    quality = evidence.quality
    yield f"Why: {build.choice.reason}."
    bound = upper_bound(quality.comparison, build.tested_confidence)
    lost = quality.comparison.drop
    how = f"loses {lost:.4f}" if lost > 0 else f"gains {-lost:.4f}" if lost < 0 else "loses nothing"
    limit = build.limits.max_accuracy_drop
    yield (
        f"Its {quality.metric} is {quality.metric_value:.4f}, where {build.reference} has"
        f" {quality.reference_value:.4f}: on {build.evaluation_samples:,} samples it {how}, and"
        f" with a confidence of {build.tested_confidence:.2%} no more than {bound:.4f}"
        + (f". The limit is {limit:g}." if limit is not None else ".")
    )
    other = yardstick(build, build.measured)
    if other:
        yield _speed(evidence, other.evidence, other.name)


def _speed(evidence: Evidence, other: Evidence, name: str) -> str:
    ours, theirs = evidence.performance.round_p50_ms, other.performance.round_p50_ms
    if len(ours) != len(theirs) or len(ours) < 2:
        return f"Of {name} the rounds are not paired with its own, so no ratio of speeds is given."
    ratio = paired_ratio(theirs, ours)
    span = f"({ratio.low:.2f} to {ratio.high:.2f} at 95 %, {len(ours)} rounds)"
    if ratio.low <= 1 <= ratio.high:
        return (
            f"Whether it answers one input faster than {name} can't be told: {ratio.value:.2f}"
            f" times as fast {span}."
        )
    return f"It answers one input {ratio.value:.2f} times as fast as {name} {span}."


def tiles(build: Build) -> list[tuple[str, Cell]]:
    """Return the chosen variant in a few figures."""
    chosen = chosen_of(build)
    if chosen is None:
        return []
    quality, performance = chosen.evidence.quality, chosen.evidence.performance
    p99 = performance.p99_ms
    found = [
        (
            quality.metric,
            Cell(f"{quality.metric_value:.4f}", f"reference {quality.reference_value:.4f}"),
        ),
        ("p50 latency", with_unit(performance.p50_ms, "ms", 2)),
        ("p99 latency", with_unit(p99, "ms", 2) if p99 else Cell("-", "not measured")),
        ("throughput", with_unit(performance.samples_per_s, "/s", 0)),
        ("on disk", Cell(human_bytes(chosen.evidence.size_bytes))),
        ("peak memory", Cell(human_bytes(performance.peak_rss_bytes))),
    ]
    if performance.energy_j:
        found.append(("energy per input", with_unit(performance.energy_j, "J", 3)))
    return found


def with_unit(figure: Figure | None, unit: str, digits: int) -> Cell:
    """Write a figure and its interval, or a dash."""
    if figure is None:
        return Cell("-")
    value = f"{figure.value:,.{digits}f} {unit}".rstrip()
    if figure.high >= UNBOUNDED:
        return Cell(value, "one round")
    if figure.low == figure.high:
        return Cell(value)
    return Cell(value, f"{figure.low:,.{digits}f} – {figure.high:,.{digits}f}")
