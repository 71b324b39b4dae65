"""The tables of the page: variants, classes, the conditions of every round, and the software."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from edgekit.confidence import upper_bound
from edgekit.console import human_bytes
from edgekit.nouns import Build, Counts, Evidence, MeasuredVariant
from edgekit.profiles.report.summary import Cell, chosen_of, with_unit, yardstick
from edgekit.profiles.report.text import weights

T = TypeVar("T")


class Row(NamedTuple):
    """The line of one variant in the table."""

    number: int
    name: str
    is_chosen: bool
    is_on_front: bool
    status: str
    cells: list[Cell]
    why: str


COLUMNS = (
    "drop",
    "≤",
    "agree",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "samples/s",
    "warm load ms",
    "cold load ms",
    "size",
    "peak memory",
    "J / input",
)


def variant_rows(build: Build) -> Iterator[Row]:
    """Return the lines of all variants, in the order of the build."""
    for number, item in enumerate(build.variants, 1):
        cells = (
            _cells(item.evidence, build.tested_confidence) if item.evidence else [Cell("-")] * 13
        )
        yield Row(
            number=number,
            name=item.name,
            is_chosen=item.name == build.choice.chosen,
            is_on_front=item.name in build.choice.pareto,
            status=item.status,
            cells=[*cells, Cell(weights(item), css="text")],
            why=item.reason,
        )


def _cells(evidence: Evidence, confidence: float) -> list[Cell]:
    quality, performance = evidence.quality, evidence.performance
    cold, energy = performance.cold_load_ms, performance.energy_j
    return [
        Cell(f"{quality.metric_value:.4f}"),
        Cell(f"{quality.comparison.drop:+.4f}"),
        Cell(f"{upper_bound(quality.comparison, confidence):.4f}"),
        Cell(f"{quality.agreement:.2%}"),
        with_unit(performance.p50_ms, "", 2),
        with_unit(performance.p90_ms, "", 2),
        with_unit(performance.p99_ms, "", 2),
        with_unit(performance.samples_per_s, "", 0),
        Cell(f"{performance.load_ms:,.0f}"),
        Cell("-" if cold is None else f"{cold:,.0f}"),
        Cell(human_bytes(evidence.size_bytes)),
        Cell(human_bytes(performance.peak_rss_bytes)),
        with_unit(energy, "", 4 if energy and energy.value < 1 else 2),
    ]


class ClassRow(NamedTuple):
    """A class of the chosen variant, beside the one that it is held against."""

    name: str
    recall: Cell
    precision: Cell
    before: float | None  # recall
    after: float | None
    others: str  # recall of all other accepted variants
    change: float


def class_rows(build: Build) -> tuple[str | None, list[ClassRow]]:
    """Return what the chosen variant is held against, and the rows of its classes.

    The largest changes of recall come first.
    """
    chosen = chosen_of(build)
    if chosen is None or not chosen.evidence.quality.classes:
        return None, []
    with_classes = [item for item in build.measured if item.evidence.quality.classes]
    other = yardstick(build, with_classes)
    theirs = other.evidence.quality.classes if other else {}
    others = [item for item in with_classes if item.name != chosen.name]
    accepted = [item for item in others if item.status == "accepted"]
    rows = [
        _class_row(name, counts, theirs.get(name), accepted)
        for name, counts in chosen.evidence.quality.classes.items()
    ]
    rows.sort(key=lambda row: (-abs(row.change), row.name))
    return other.name if other else None, rows


def _class_row(
    name: str, ours: Counts, theirs: Counts | None, accepted: list[MeasuredVariant]
) -> ClassRow:
    before, after = theirs.recall if theirs else None, ours.recall
    found = [
        counts.recall for item in accepted if (counts := item.evidence.quality.classes.get(name))
    ]
    recalls = [value for value in found if value is not None]
    return ClassRow(
        name=name,
        recall=_share(ours, theirs, lambda item: item.recall, ours.missed),
        precision=_share(ours, theirs, lambda item: item.precision, ours.false),
        before=before,
        after=after,
        others=f"{min(recalls):.3f} – {max(recalls):.3f}" if recalls else "-",
        change=0.0 if before is None or after is None else after - before,
    )


def _share(
    ours: Counts, theirs: Counts | None, of: Callable[[Counts], float | None], lacking: int
) -> Cell:
    value, other = of(ours), of(theirs) if theirs else None
    if value is None:
        return Cell("-")
    said = f"{ours.found:,} of {ours.found + lacking:,}"
    return Cell(f"{value:.3f}", said if other is None else f"{said}; was {other:.3f}")


def condition_rows(build: Build) -> Iterator[list[str]]:
    """Return one line a variant: the worst of its rounds, and what disturbed which round."""
    for item in build.measured:
        performance = item.evidence.performance
        states = performance.conditions
        yield [
            item.name,
            f"{performance.rounds}",
            f"{performance.calls:,}",
            _span(states, lambda state: state.others, "{:.0%}"),
            _span(states, lambda state: state.steal, "{:.1%}"),
            _span(states, lambda state: state.slowdown, "{:.2f}"),
            _span([value for state in states for value in state.mhz or ()], float, "{:.0f}"),
            _span([value for state in states for value in state.celsius or ()], float, "{:.0f}"),
            _span(states, lambda state: state.throttled, "{:.0f}"),
            ", ".join(dict.fromkeys(state.governor for state in states if state.governor))
            or "not told",
            "; ".join(performance.disturbed) or "none",
        ]


def _span(states: Iterable[T], of: Callable[[T], float | None], form: str) -> str:
    """Write the range from the smallest to the largest value, or that the machine does not tell."""
    values = [value for value in map(of, states) if value is not None]
    if not values:
        return "not told"
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} – {high}"


def origins(build: Build) -> Iterator[tuple[str, str]]:
    """Yield the versions of what was measured with, and the hashes of the data."""
    found: dict[str, dict[str, None]] = {}
    for item in build.variants:
        if item.artifact and item.artifact.calibration_sha256:
            name = f"calibration inputs, {item.artifact.calibration_samples:,} samples"
            found.setdefault(name, {})[item.artifact.calibration_sha256] = None
    for item in build.measured:
        if item.evidence.quality.evaluation_sha256:
            name = f"evaluation data, {build.evaluation_samples:,} samples"
            found.setdefault(name, {})[item.evidence.quality.evaluation_sha256] = None
        for package, version in item.evidence.versions.items():
            found.setdefault(package, {})[version] = None
    for name, values in sorted(found.items()):
        yield name, ", ".join(values)
