"""Two builds, or two measurements, side by side: what became faster, and what can't be told.

Rounds of two sessions are not paired: whatever the machine was doing in the one and not in the
other is in the ratio, and the interval, which comes from the spread within each session, knows
nothing of it. So a difference must be larger than the one that sessions of the same files show, and
neither session may have been disturbed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

from edgekit.errors import InputError
from edgekit.nouns import (
    Build,
    Evidence,
    Figure,
    Noun,
    Performance,
    Profile,
    Profiles,
    Setting,
    Unreadable,
    read_json,
)
from edgekit.profiles.build_folder import read_build
from edgekit.profiles.choose import CLOSE
from edgekit.profiles.intervals import unpaired_ratio

Verdict = Literal["faster", "slower", "can't tell"]
Number = TypeVar("Number", int, float)
SESSIONS = (
    "A and B are two sessions: what the machine did in one of them only is in the ratios, and not"
    " in their intervals. To tell two variants apart, measure them in one session (edgekit build,"
    " edgekit profile --variant ... --variant ...)."
)


class Figures(Noun, frozen=True, kw_only=True):
    """What both kinds of files say of a variant; None: a profile says nothing of it."""

    performance: Performance
    setting: Setting
    machine: str
    versions: dict[str, str]
    data: str  # that accuracy is of, by its hash; of a profile, the inputs
    metric: str | None = None
    metric_value: float | None = None
    size_bytes: int | None = None


class Side(Noun, frozen=True, kw_only=True):
    """One of the two measurements that are compared."""

    name: str
    model: str
    variants: dict[str, Figures]


class Difference(Noun, frozen=True, kw_only=True):
    """A variant that both have: B against A. Ratios are B / A, so a p50 ratio below 1 is faster."""

    variant: str
    p50_ms: tuple[float, float]
    p50_ratio: Figure
    latency: Verdict
    samples_per_s: tuple[float, float]
    throughput_ratio: Figure
    throughput: Verdict
    metric: str | None
    metric_difference: float | None
    size_difference: int | None
    memory_difference: int


class Compared(Noun, frozen=True, kw_only=True):
    """Everything that `edgekit compare` found."""

    a: str
    b: str
    variants: tuple[Difference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    warnings: tuple[str, ...]


def read_side(path: Path) -> Side:
    """Read a build's folder, or a file of `edgekit profile --out`; raises InputError."""
    if path.is_dir():
        return _of_build(str(path), read_build(path))
    try:
        found = read_json(path.read_bytes(), Profiles)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; give a build's folder or a file of `edgekit profile --out`"
        ) from None
    except Unreadable as error:
        raise InputError(
            f"{path}: not a file of `edgekit profile --out` ({error}); of a build give the folder,"
            " not build.json"
        ) from None
    return Side(
        name=str(path),
        model=found.profiles[0].model if found.profiles else "",
        variants={item.variant: _of_profile(item) for item in found.profiles},
    )  # fmt: skip


def _of_build(name: str, build: Build) -> Side:
    return Side(
        name=name,
        model=build.model,
        variants={item.name: _of_evidence(item.evidence) for item in build.measured},
    )


def _of_evidence(evidence: Evidence) -> Figures:
    return Figures(
        performance=evidence.performance,
        setting=evidence.setting,
        machine=evidence.machine,
        versions=evidence.versions,
        data=evidence.quality.evaluation_sha256,
        metric=evidence.quality.metric,
        metric_value=evidence.quality.metric_value,
        size_bytes=evidence.size_bytes,
    )


def _of_profile(profile: Profile) -> Figures:
    return Figures(
        performance=profile.performance,
        setting=profile.setting,
        machine=profile.machine,
        versions=profile.versions,
        data=profile.inputs,
    )


def compare(a: Side, b: Side) -> Compared:
    """Compare B with A in every variant that both have measured.

    Raises InputError if there is none.
    """
    both = [name for name in a.variants if name in b.variants]
    if not both:
        ours, theirs = (", ".join(side.variants) or "none" for side in (a, b))
        raise InputError(
            f"no variant was measured in both: {a.name} has {ours}; {b.name} has {theirs}"
        )
    return Compared(
        a=a.name,
        b=b.name,
        variants=tuple(_difference(name, a.variants[name], b.variants[name]) for name in both),
        only_a=tuple(name for name in a.variants if name not in b.variants),
        only_b=tuple(name for name in b.variants if name not in a.variants),
        warnings=tuple(dict.fromkeys(_warnings(a, b, both))),
    )


def _difference(name: str, a: Figures, b: Figures) -> Difference:
    before, after = a.performance, b.performance
    latency = unpaired_ratio(after.round_p50_ms, before.round_p50_ms)
    speedup = unpaired_ratio(before.round_p50_ms, after.round_p50_ms)
    throughput = unpaired_ratio(after.round_samples_per_s, before.round_samples_per_s)
    is_clean = not (before.disturbed or after.disturbed)
    same_metric = a.metric == b.metric
    return Difference(
        variant=name,
        p50_ms=(before.p50_ms.value, after.p50_ms.value),
        p50_ratio=latency,
        latency=_verdict(speedup) if is_clean else "can't tell",
        samples_per_s=(before.samples_per_s.value, after.samples_per_s.value),
        throughput_ratio=throughput,
        throughput=_verdict(throughput) if is_clean else "can't tell",
        metric=a.metric if same_metric else None,
        metric_difference=_minus(b.metric_value, a.metric_value) if same_metric else None,
        size_difference=_minus(b.size_bytes, a.size_bytes),
        memory_difference=after.peak_rss_bytes - before.peak_rss_bytes,
    )  # fmt: skip


def _verdict(speedup: Figure) -> Verdict:
    """Say whether a speedup shows that B is faster, slower, or neither.

    Above 1 is faster; the whole interval must lie beyond what is close.
    """
    if speedup.low > CLOSE:
        return "faster"
    return "slower" if speedup.high < 1 / CLOSE else "can't tell"


def _minus(value: Number | None, other: Number | None) -> Number | None:
    return None if value is None or other is None else value - other


def _warnings(a: Side, b: Side, both: list[str]) -> Iterator[str]:
    """Yield what makes the two sides hard to compare."""
    if a.model != b.model:
        yield f"another model: {a.model}, {b.model}"
    for name in both:
        yield from _warnings_of(name, a.variants[name], b.variants[name])
    for side in (a, b):
        disturbed = [name for name in both if side.variants[name].performance.disturbed]
        if disturbed:
            example = f"{disturbed[0]}: {side.variants[disturbed[0]].performance.disturbed[0]}"
            yield (
                f"{side.name}: disturbed while {len(disturbed)} of {len(both)} variants were"
                f" measured, such as {example}"
            )


def _warnings_of(name: str, before: Figures, after: Figures) -> Iterator[str]:
    if before.machine != after.machine:
        yield (
            f"another machine: {before.machine}; {after.machine}: ratios are of machines as much as"
            " of variants"
        )
    for package in sorted(before.versions.keys() | after.versions.keys()):
        old, new = before.versions.get(package, "none"), after.versions.get(package, "none")
        if old != new:
            yield f"another version of {package}: {old}, {new}"
    if before.data != after.data:
        yield f"other data: {before.data or 'unknown'}; {after.data or 'unknown'}"
    if before.performance.effort != after.performance.effort:
        yield (
            f"measured with another effort: {before.performance.effort}, {after.performance.effort}"
        )
    if before.setting != after.setting:
        yield f"{name}: another setting: {_as_text(before.setting)}; {_as_text(after.setting)}"


def _as_text(setting: Setting) -> str:
    return (
        f"{setting.streams} streams of {setting.threads} threads, batches of {setting.batch_size},"
        f" {setting.precision}"
    )
