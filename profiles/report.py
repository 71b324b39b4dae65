"""A finished build as text and as JSON."""

from typing import Any

import msgspec
from rich.table import Table

from edgekit.console import human_bytes
from edgekit.nouns import Build, Evidence, Variant
from edgekit.profiles.gate import upper_bound

MARKS = {
    "accepted": "[green]accepted[/]",
    "rejected": "[red]rejected[/]",
    "failed": "[red]failed[/]",
    "skipped": "skipped",
}


def build_as_json(build: Build) -> dict[str, Any]:
    """The object that `edgekit build --json` prints."""
    return {
        "model": build.model,
        "version": build.version,
        "target": build.target,
        "objective": build.objective,
        "limits": build.limits,
        "reference": build.reference,
        "evaluation_samples": build.evaluation_samples,
        "tested_confidence": build.tested_confidence,
        "chosen": build.choice.chosen,
        "reason": build.choice.reason,
        "variants": [_variant_as_json(variant, build.tested_confidence) for variant in build.variants],
    }


def _variant_as_json(variant: Variant, confidence: float) -> dict[str, Any]:
    measured = (
        "metric", "metric_value", "reference_value", "agreement", "batch_agreement", "judged_batch_size", "answer_error",
        "max_answer_difference", "classes", "reliability", "p50_ms", "p99_ms", "latency_samples", "samples_per_s",
        "size_bytes", "peak_rss_bytes", "load_ms", "quick", "setting",
    )  # fmt: skip
    comparison = variant.evidence.comparison if variant.evidence else None
    evidence: dict[str, Any] = msgspec.to_builtins(variant.evidence) if variant.evidence else {}
    return {
        "name": variant.name,
        "format": variant.format,
        "precision": variant.precision,
        "engine": variant.engine,
        "status": variant.status,
        "reason": variant.reason,
        **{name: evidence.get(name) for name in measured},
        "drop": comparison.drop if comparison else None,
        "drop_upper_bound": upper_bound(comparison, confidence) if comparison else None,
        "size_bytes": variant.artifact.size_bytes if variant.artifact else None,
        "contents": variant.artifact.contents if variant.artifact else None,
        "build_peak_rss_bytes": variant.artifact.peak_rss_bytes if variant.artifact else None,
        "calibration_samples": variant.artifact.calibration_samples if variant.artifact else None,
        "calibration_sha256": variant.artifact.calibration_sha256 if variant.artifact else None,
        "broken_limits": msgspec.to_builtins(variant.broken),
    }


def build_as_table(build: Build) -> Table:
    """One line a variant."""
    measured = [variant.evidence for variant in build.variants if variant.evidence]
    quick = any(evidence.quick for evidence in measured)
    title = f"{build.model} {build.version} on {build.target}, {build.evaluation_samples} evaluation samples"
    if measured:
        title += f", reference {build.reference}: {measured[0].metric} {measured[0].reference_value:.4f}"
        title += f"; drops with their upper bound at {build.tested_confidence:.4g}"
    table = Table(title=title + (" (quick measurement)" if quick else ""), title_justify="left")
    table.add_column("variant", no_wrap=True)
    metric = measured[0].metric if measured else "metric"
    for name in (metric, "drop", "≤", "agree", "p50 ms", "p99 ms", "samples/s", "size", "peak memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("weights", overflow="fold")
    table.add_column("status")
    table.add_column("why", overflow="fold")
    for variant in build.variants:
        name = f"[bold]{variant.name} ◄[/]" if variant.name == build.choice.chosen else variant.name
        figures = _figures(variant.evidence, build.tested_confidence)
        table.add_row(name, *figures, _weights(variant), MARKS[variant.status], _plain(variant.reason))
    return table


def _weights(variant: Variant) -> str:
    """The types that the file really holds, by their share of its weights."""
    contents = variant.artifact.contents if variant.artifact else {}
    total = sum(contents.values())
    large = [(kind, size / total) for kind, size in contents.items() if size >= total / 100]
    return ", ".join(f"{kind} {share:.0%}" for kind, share in large) or "-"


def _figures(evidence: Evidence | None, confidence: float) -> list[str]:
    if evidence is None:
        return ["-"] * 9
    return [
        f"{evidence.metric_value:.4f}",
        f"{evidence.comparison.drop:+.4f}",
        f"{upper_bound(evidence.comparison, confidence):.4f}",
        f"{evidence.agreement:.2%}",
        f"{evidence.p50_ms:.2f}",
        "-" if evidence.p99_ms is None else f"{evidence.p99_ms:.2f}",
        f"{evidence.samples_per_s:.0f}",
        human_bytes(evidence.size_bytes),
        human_bytes(evidence.peak_rss_bytes),
    ]


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def notes(build: Build) -> list[str]:
    """What must be said beside the table: the choice, and what the figures are not."""
    lines = []
    measured = [variant.evidence for variant in build.variants if variant.evidence]
    if any(evidence.p99_ms is None for evidence in measured):
        lines.append("p99 is not given where fewer than 1000 calls were timed (a quick measurement).")
    if measured:
        lines.append(f"Measured on: {measured[0].machine}")
    chosen = build.choice.chosen
    lines.append(
        f"Chosen: {chosen}: {build.choice.reason}" if chosen else f"Nothing chosen: {build.choice.reason}"
    )
    return lines
