"""A finished build as text and as JSON."""

import re
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from edgekit.confidence import upper_bound
from edgekit.console import human_bytes
from edgekit.nouns import Build, Evidence, Figure, Part, Performance, Quality, Variant
from edgekit.profiles.conditions import warnings
from edgekit.profiles.intervals import UNBOUNDED
from edgekit.profiles.report.cost import Cost, CostSheet
from edgekit.profiles.scenarios import EFFORTS

DIGITS = re.compile(r"\d+")
MARKS = {
    "accepted": "[green]accepted[/]",
    "rejected": "[red]rejected[/]",
    "failed": "[red]failed[/]",
    "skipped": "skipped",
}


def build_as_json(build: Build, cost: CostSheet) -> dict[str, Any]:
    """Return the object that `edgekit build --json` and `edgekit report --json` print."""
    measured = measured_in(build)
    return {
        "model": build.model,
        "version": build.version,
        "target": build.target,
        "objective": build.objective,
        "limits": build.limits.given(),
        "reference": build.reference,
        "evaluation_samples": build.evaluation_samples,
        "tested_confidence": build.tested_confidence,
        "chosen": build.choice.chosen,
        "reason": build.choice.reason,
        "ties": build.choice.ties,
        "variants": [_variant_as_json(variant, build) for variant in build.variants],
        "not_measured": not_measured(measured),
        "disturbed": disturbed_in(measured),
        "cost": msgspec.to_builtins(cost),
    }


def _variant_as_json(variant: Variant, build: Build) -> dict[str, Any]:
    evidence, artifact = variant.evidence, variant.artifact
    found: dict[str, Any] = {
        "name": variant.name,
        "format": variant.format,
        "precision": variant.precision,
        "engine": variant.engine,
        "status": variant.status,
        "reason": variant.reason,
        "broken_limits": variant.broken,
        "pareto": variant.name in build.choice.pareto,
        "setting": evidence.setting if evidence else None,
        **_fields(Quality, evidence.quality if evidence else None),
        **_fields(Performance, evidence.performance if evidence else None),
        "drop": evidence.quality.comparison.drop if evidence else None,
        "drop_upper_bound": (
            upper_bound(evidence.quality.comparison, build.tested_confidence) if evidence else None
        ),
        "size_bytes": artifact.size_bytes if artifact else None,
        "contents": artifact.contents if artifact else None,
        "build_peak_rss_bytes": artifact.peak_rss_bytes if artifact else None,
        "calibration_samples": artifact.calibration_samples if artifact else None,
        "calibration_sha256": artifact.calibration_sha256 if artifact else None,
        "calibration_cut": artifact.calibration_cut if artifact else None,
        "machine": evidence.machine if evidence else None,
        "versions": evidence.versions if evidence else None,
    }
    return dict(msgspec.to_builtins(found))


def _fields(kind: type[Part], record: Part | None) -> dict[str, Any]:
    """Return every field of a record by its name.

    Each is None where there is no record, so that all variants have the same keys.
    """
    names = [name for name in kind.__struct_fields__ if name not in Part.__struct_fields__]
    return {name: getattr(record, name) if record else None for name in names}


def build_as_table(build: Build) -> Table:
    """Return the table of a build, one line a variant."""
    measured = [item.evidence for item in build.measured]
    title = (
        f"{build.model} {build.version} on {build.target}, {build.evaluation_samples} evaluation"
        " samples"
    )
    if measured:
        quality, performance = measured[0].quality, measured[0].performance
        title += f", reference {build.reference}: {quality.metric} {quality.reference_value:.4f}"
        title += f"; drops with their upper bound at {build.tested_confidence:.4g}"
        title += "; ◄ chosen, ◆ no other beats it in accuracy, latency and memory at once"
        title += (
            f"; times of {performance.rounds} rounds with their 95 % interval ({performance.effort}"
            " measurement)"
        )
    table = Table(title=escape(title), title_justify="left")
    table.add_column("variant", no_wrap=True)
    metric = measured[0].quality.metric if measured else "metric"
    for name in (
        metric,
        "drop",
        "≤",
        "agree",
        "p50 ms",
        "p99 ms",
        "samples/s",
        "size",
        "peak memory",
    ):
        table.add_column(escape(name), justify="right", no_wrap=True)
    table.add_column("weights", overflow="fold")
    table.add_column("status")
    table.add_column("why", overflow="fold")
    for variant in build.variants:
        figures = _figures(variant.evidence, build.tested_confidence)
        table.add_row(
            _marked(variant.name, build),
            *figures,
            escape(weights(variant)),
            MARKS[variant.status],
            escape(variant.reason),
        )
    return table


def _marked(name: str, build: Build) -> str:
    mark = f"{escape(name)} ◆" if name in build.choice.pareto else escape(name)
    return f"[bold]{mark} ◄[/]" if name == build.choice.chosen else mark


def cost_as_table(cost: CostSheet) -> Table:
    """Return a line a variant: what a day costs, and when the device has paid for itself."""
    money = cost.prices.currency
    table = Table(title="Cost of a day", title_justify="left")
    table.add_column("variant", no_wrap=True)
    for name in (
        "J/input",
        "busy",
        "kWh",
        f"energy {money}",
        f"calls {money}",
        f"saved {money}",
        "break-even",
    ):
        table.add_column(escape(name), justify="right")
    for line in cost.variants:
        table.add_row(escape(line.variant), *cost_cells(line))
    return table


def cost_cells(line: Cost) -> list[str]:
    """Write the figures of one line of the cost sheet."""
    joules = "-" if line.energy_j is None else f"{line.energy_j:.3g}"
    return [
        f"{joules} (watts given)" if line.energy_from == "watts given" else joules,
        "-" if line.busy_share is None else f"{line.busy_share:.3%}",
        *(
            "-" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
            for value in (
                line.kwh_per_day,
                line.energy_cost_per_day,
                line.calls_cost_per_day,
                line.saved_per_day,
            )
        ),
        line.verdict or "-",
    ]


def cost_notes(cost: CostSheet) -> list[str]:
    """List what the cost sheet rests on, and what it lacks."""
    lines = [f"Assumed: {text}" for text in cost.assumptions]
    if cost.missing:
        what = "is complete with" if cost.variants else "needs"
        lines.append(f"The cost sheet {what}: {', '.join(cost.missing)}")
    return lines


def weights(variant: Variant) -> str:
    """Write the types that the file really holds, by their share of its weights."""
    contents = variant.artifact.contents if variant.artifact else {}
    total = sum(contents.values())
    large = [(kind, size / total) for kind, size in contents.items() if size >= total / 100]
    return ", ".join(f"{kind} {share:.0%}" for kind, share in large) or "-"


def _figures(evidence: Evidence | None, confidence: float) -> list[str]:
    if evidence is None:
        return ["-"] * 9
    quality, performance = evidence.quality, evidence.performance
    return [
        f"{quality.metric_value:.4f}",
        f"{quality.comparison.drop:+.4f}",
        f"{upper_bound(quality.comparison, confidence):.4f}",
        f"{quality.agreement:.2%}",
        with_interval(performance.p50_ms, 2),
        with_interval(performance.p99_ms, 1) if performance.p99_ms else "-",
        with_interval(performance.samples_per_s, 0) + (" !" if performance.disturbed else ""),
        human_bytes(evidence.size_bytes),
        human_bytes(performance.peak_rss_bytes),
    ]


def with_interval(figure: Figure, digits: int) -> str:
    """Write a figure as "2.03 (1.91-2.16)"; of a single round nothing is known of its spread."""
    if figure.high >= UNBOUNDED:
        return f"{figure.value:.{digits}f} (one round)"
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f}-{figure.high:.{digits}f})"


def notes(build: Build) -> list[str]:
    """List what must be said beside the table: the choice, and what the figures are not."""
    lines = left_out(build) + notes_of(measured_in(build))
    if build.measured:
        lines.append(f"Measured on: {build.measured[0].evidence.machine}")
    chosen = build.choice.chosen
    lines.append(
        f"Chosen: {chosen}: {build.choice.reason}"
        if chosen
        else f"Nothing chosen: {build.choice.reason}"
    )
    return lines


def left_out(build: Build) -> list[str]:
    """List what of the data was not looked at: texts that were cut, rows that were left out.

    It is the same for all variants, but for those that are not calibrated.
    """
    qualities = [item.evidence.quality for item in build.measured]
    artifacts = [item.artifact for item in build.measured]
    cut = max((quality.cut_rows for quality in qualities), default=0)
    refused = max((quality.refused_rows for quality in qualities), default=0)
    calibrated = max(artifacts, key=lambda artifact: artifact.calibration_cut, default=None)
    lines = []
    if cut:
        lines.append(
            f"Cut: {cut} of {build.evaluation_samples} evaluation rows are longer than the model"
            " takes, and were judged by a part of their text (data.on_too_long)"
        )
    if calibrated and calibrated.calibration_cut:
        lines.append(
            f"Cut: {calibrated.calibration_cut} of {calibrated.calibration_samples} calibration"
            " inputs, for the same reason"
        )
    if refused:
        lines.append(
            f"Left out: {refused} rows of the evaluation file, which the model refuses, as it will"
            " on the appliance (data.on_too_long; texts without a token)"
        )
    return lines


def measured_in(build: Build) -> dict[str, Performance]:
    """Return the performance of each variant that was measured, by the variant's name."""
    return {item.name: item.evidence.performance for item in build.measured}


def not_measured(measured: dict[str, Performance]) -> list[str]:
    """List what was left out, and why.

    What is said of several variants is one line, also if its numbers differ.
    """
    alike: dict[str, dict[str, str]] = {}
    for name, item in measured.items():
        for text in item.skipped:
            alike.setdefault(DIGITS.sub("", text), {})[name] = text
    lines = []
    for said in alike.values():
        name, text = next(iter(said.items()))
        others = "" if len(set(said.values())) == 1 else f" ({name}; {len(said) - 1} more alike)"
        lines.append(text + others)
    return lines


def notes_of(measured: dict[str, Performance]) -> list[str]:
    """List what the figures of a session are not: what was skipped, what was disturbed."""
    lines = [f"Not measured: {what}" for what in not_measured(measured)]
    disturbed = disturbed_in(measured)
    if disturbed:
        name, reasons = next(iter(disturbed.items()))
        lines.append(
            f"Disturbed{again(measured[name])}: {len(disturbed)} of {len(measured)} variants,"
            f" such as {name}: {reasons[0]}"
        )
    return lines + [f"Warning: {text}" for text in warnings_in(measured)]


def again(found: Performance) -> str:
    """Say that a disturbed round was repeated, where it was."""
    return ", also when measured again" if EFFORTS[found.effort].retries else ""


def disturbed_in(measured: dict[str, Performance]) -> dict[str, tuple[str, ...]]:
    """Return the variants whose figures are not clean, and why."""
    return {name: item.disturbed for name, item in measured.items() if item.disturbed}


def warnings_in(measured: dict[str, Performance]) -> list[str]:
    """List what should be known about the machine, each thing once."""
    states = (state for item in measured.values() for state in item.conditions)
    return list(dict.fromkeys(text for state in states for text in warnings(state)))
