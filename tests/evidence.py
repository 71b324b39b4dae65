"""Evidence for tests: ordinary figures, of which a test names those it is about."""

from pathlib import Path
from typing import Any

from edgekit.nouns import (
    Artifact,
    Build,
    Conditions,
    Evidence,
    Figure,
    Limits,
    Measured,
    Paired,
    Performance,
    Quality,
    Setting,
    Variant,
)
from edgekit.profiles.choose import choose, judge_all

QUALITY: dict[str, Any] = {
    "metric": "accuracy",
    "metric_value": 0.9,
    "reference_value": 0.9,
    "metric_bounds": ((0.5, 0.9), (0.95, 0.89), (0.999, 0.88)),
    "comparison": Paired(samples=3000, lost=0, gained=0),
    "judged_batch_size": 1,
    "agreement": 1.0,
    "batch_agreement": 1.0,
    "answer_error": 0.0,
    "max_answer_difference": 0.0,
    "classes": {},
    "reliability": None,
    "golden_difference": 0.0,
    "evaluation_sha256": "",
    "calibration_sha256": "",
    "cut_rows": 0,
    "refused_rows": 0,
}
EVIDENCE: dict[str, Any] = {
    "setting": Setting(),
    "size_bytes": 1,
    "machine": "",
    "target": "",
    "versions": {},
}


def exactly(value: float) -> Figure:
    """A figure without doubt."""
    return Figure(value=value, low=value, high=value)


def performance(
    p50_ms: float = 5.0,
    p99_ms: float | None = 8.0,
    samples_per_s: float = 500.0,
    **figures: Any,  # noqa: ANN401
) -> Performance:
    """Three rounds that agree; figures override the ordinary ones."""
    values: dict[str, Any] = {
        "effort": "default",
        "rounds": 3,
        "calls": 2000,
        "p50_ms": exactly(p50_ms),
        "p90_ms": exactly(1.2 * p50_ms),
        "p99_ms": None if p99_ms is None else exactly(p99_ms),
        "latency_quantiles": tuple(p50_ms * (0.8 + 0.4 * place / 100) for place in range(101)),
        "samples_per_s": exactly(samples_per_s),
        "round_p50_ms": (p50_ms,) * 3,
        "round_samples_per_s": (samples_per_s,) * 3,
        "load_ms": 1.0,
        "cold_load_ms": None,
        "peak_rss_bytes": 100_000_000,
        "energy_source": "not measured: no meter",
        "conditions": (Conditions(others=0.0),) * 3,
    }
    return Performance(**(values | figures))


def variant(name: str, precision: str = "int8", **figures: Any) -> Measured:  # noqa: ANN401
    """Make up what was measured; figures override ordinary ones, whichever record has them."""
    quality = {key: figures.pop(key) for key in set(figures) & set(QUALITY)}
    rest = {key: figures.pop(key) for key in set(figures) & set(EVIDENCE)}
    evidence = Evidence(
        quality=Quality(**(QUALITY | quality)),
        performance=performance(**figures),
        **(EVIDENCE | rest),
    )
    artifact = Artifact(
        name=name,
        format="onnx",
        precision=precision,
        method="none",
        engine="onnxruntime",
        key=name,
        files=(),
    )
    return Measured(artifact=artifact, evidence=evidence)


def build(*variants: Measured | Variant, objective: str = "latency", **values: Any) -> Build:  # noqa: ANN401
    """Make a finished build of measured variants: judged, and one of them chosen.

    values: override the ordinary ones.
    """
    limits = Limits(max_accuracy_drop=0.01)
    judged, confidence = judge_all(variants, limits)
    ordinary: dict[str, Any] = {
        "model": "tickets",
        "version": "1.0.0",
        "task": "text-classification",
        "target": "x86-64-v4",
        "architecture": "amd64",
        "isa": ("avx2",),
        "objective": objective,
        "limits": limits,
        "reference": "PyTorch fp32",
        "evaluation_samples": 3000,
        "tested_confidence": confidence,
        "variants": judged,
        "choice": choose(judged, objective),
    }
    return Build(**(ordinary | values))


def write_build(folder: Path, made: Build) -> Path:
    """Write a build as `edgekit build` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.json").write_bytes(made.to_json())
    return folder
