"""Two jobs that make Evidence: find the best setting for an artifact, then measure it, each in a fresh process."""

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.golden import golden_difference, read_golden
from edgekit.edge.model import Model, open_model
from edgekit.edge.tasks import load_task
from edgekit.job import Progress
from edgekit.nouns import Evidence, Noun, Setting
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.profiles.gate import pair
from edgekit.profiles.latency import (
    ENOUGH_FOR_P99,
    NORMAL,
    NORMAL_WITH_P99,
    QUICK,
    QUICK_WITH_P99,
    Effort,
    offline,
    single_stream,
)


class MeasureRequest(Noun, frozen=True, kw_only=True):
    """What both jobs are asked. The sweep chooses among `settings`; measuring takes the first."""

    folder: str
    engine: str
    settings: list[Setting]
    evaluation: str
    evaluation_sha256: str
    columns: list[str]
    label: str
    reference: str  # folder with logits.npy and golden.json
    quick: bool
    needs_p99: bool
    size_bytes: int
    calibration_sha256: str
    machine: str
    versions: dict[str, str]


def effort_of(asked: MeasureRequest) -> Effort:
    """How long to measure."""
    if asked.needs_p99:
        return QUICK_WITH_P99 if asked.quick else NORMAL_WITH_P99
    return QUICK if asked.quick else NORMAL


def sweep_job(request: object, progress: Progress) -> object:
    """Return the setting with the most samples a second."""
    asked = msgspec.convert(request, MeasureRequest)
    data = _data(asked)
    seconds = effort_of(asked).sweep_seconds
    speeds = []
    for index, setting in enumerate(asked.settings):
        progress("finding the best setting", index / len(asked.settings))
        speeds.append(
            offline(open_model(Path(asked.folder), asked.engine, setting), _shuffled(data), seconds)
        )
    return msgspec.to_builtins(asked.settings[int(np.argmax(speeds))])


def measure_job(request: object, progress: Progress) -> object:
    """Return the Evidence of one artifact with one setting."""
    asked = msgspec.convert(request, MeasureRequest)
    data, effort = _data(asked), effort_of(asked)
    progress("loading", 0)
    before = time.perf_counter()
    model = open_model(Path(asked.folder), asked.engine, asked.settings[0])
    load_ms = (time.perf_counter() - before) * 1e3
    shuffled = _shuffled(data)
    progress("measuring latency", 0.1)
    times = single_stream(model, shuffled, effort)
    progress("measuring throughput", 0.4)
    speed = offline(model, shuffled, effort.seconds)
    logits = _all_logits(model, data, progress)
    evidence = _accuracy(asked, model, data, logits)
    return msgspec.to_builtins(
        Evidence(
            quick=asked.quick,
            setting=model.setting,
            p50_ms=float(np.percentile(times, 50)),
            p99_ms=float(np.percentile(times, 99)) if len(times) >= ENOUGH_FOR_P99 else None,
            latency_samples=len(times),
            samples_per_s=speed,
            size_bytes=asked.size_bytes,
            peak_rss_bytes=peak_memory(),
            load_ms=load_ms,
            evaluation_sha256=asked.evaluation_sha256,
            calibration_sha256=asked.calibration_sha256,
            machine=asked.machine,
            versions=asked.versions,
            **evidence,
        )
    )


def _shuffled(data: Dataset) -> list[Any]:
    """The inputs in one random order for all variants: a file may be sorted by label or by length."""
    return [data.inputs[index] for index in np.random.default_rng(0).permutation(len(data))]


def _data(asked: MeasureRequest) -> Dataset:
    return read_dataset(Path(asked.evaluation), load_task(Path(asked.folder)), asked.columns, asked.label)


def _all_logits(model: Model, data: Dataset, progress: Progress) -> np.ndarray:
    """The whole evaluation set in the batches that will serve: int8 results depend on their batch mates."""
    size = model.setting.batch_size
    batches = [data.inputs[start : start + size] for start in range(0, len(data), size)]
    parts = []
    for index, part in enumerate(model.logits_of_batches(batches)):
        progress("measuring accuracy", 0.5 + 0.5 * index / len(batches))
        parts.append(part)
    return np.concatenate(parts)


def _accuracy(asked: MeasureRequest, model: Model, data: Dataset, logits: np.ndarray) -> dict[str, Any]:
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        raise ArithmeticError(
            f"answers with NaN or infinity, first for row {broken[0] + 1} of the evaluation file"
        )
    reference = np.load(Path(asked.reference) / "logits.npy")
    golden = read_golden(Path(asked.reference))
    said, truth = logits.argmax(axis=1), data.labels
    expected = reference.argmax(axis=1)
    return {
        "metric": model.task.metric,
        "metric_value": float(np.mean(said == truth)),
        "reference_value": float(np.mean(expected == truth)),
        "paired": pair(expected, said, truth),
        "agreement": float(np.mean(said == expected)),
        "max_logit_difference": float(np.max(np.abs(logits - reference))),
        "class_recall": {
            model.task.labels[index]: float(np.mean(said[truth == index] == index))
            for index in np.unique(truth)
        },
        "golden_difference": golden_difference(model, golden),
    }


def peak_memory() -> int:
    """Bytes: this process's own peak (VmHWM). ru_maxrss would start from the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not report VmHWM")
