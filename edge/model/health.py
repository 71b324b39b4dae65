"""The health of a slot: it must answer here as its variant did where it was built.

It must do so in its answers, its time and its memory before it may serve.
"""

import time
from pathlib import Path

import msgspec
import numpy as np

from edgekit.edge.model.tensor_model import Model, open_slot
from edgekit.job import Progress
from edgekit.nouns import Golden, Slot, read_json
from edgekit.process import peak_memory

WORST = 1e308  # JSON has no NaN: a model that answers it is as wrong as can be
# beyond what was measured: other allocators, other threads
MEMORY_FACTOR, MEMORY_SPARE = 2.0, 256 << 20


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a model answered its golden samples.

    difference: the largest difference from the answers that are expected.
    median_ms: the median time of one sample at a time, in ms.
    memory_bytes: the peak of the process.
    """

    difference: float
    median_ms: float
    memory_bytes: int


def golden_difference(model: Model, golden: Golden) -> float:
    """Return how far the model's answers are from the expected ones, at most.

    Infinite for another shape, other labels or another number of answers; NaN for an answer with
    NaN.
    """
    if golden.labels and list(model.task.labels) != golden.labels:
        return float("inf")
    answers = model.unchecked_answers([model.task.parse(value) for value in golden.inputs])
    if len(answers) != len(golden.answers):
        return float("inf")
    expected = [np.array(answer, dtype=np.float32) for answer in golden.answers]
    # Not max(), which a NaN that is not the first one gets past.
    return float(np.max(list(map(model.task.difference, answers, expected))))


def read_golden(folder: Path) -> Golden:
    """Read golden.json of a slot or a build."""
    return read_json((folder / "golden.json").read_bytes(), Golden)


def health_of(model: Model, golden: Golden) -> Health:
    """Let a model answer its golden samples, together and then one at a time."""
    difference = golden_difference(model, golden)
    times = []
    for value in golden.inputs:
        start = time.perf_counter()
        inputs = [model.task.parse(value)]
        model.task.decode(inputs, model.unchecked_answers(inputs))
        times.append(time.perf_counter() - start)
    return Health(
        difference=difference if np.isfinite(difference) else WORST,
        median_ms=float(np.median(times)) * 1e3,
        memory_bytes=peak_memory(),
    )


def memory_limit(slot: Slot) -> float:
    """Return the bytes beyond which a process that runs the slot is ill.

    They are infinite where nothing was measured.
    """
    return MEMORY_FACTOR * slot.memory_bytes + MEMORY_SPARE if slot.memory_bytes else float("inf")


def wrong_answers(slot: Slot, health: Health) -> str | None:
    """Say why the answers are not the model's, or return None."""
    if health.difference <= slot.golden_tolerance:
        return None
    if health.difference >= WORST:
        return (
            "answers the golden samples wrongly here: with NaN, in another shape, or under other"
            " labels"
        )
    return (
        f"answers the golden samples wrongly here: its answers are off by {health.difference:.3g}, "
        f"and {slot.golden_tolerance:.3g} is healthy"
    )


def ailment(slot: Slot, health: Health) -> str | None:
    """Say why a model should not serve, or return None: wrong, too slow, or too large."""
    if wrong := wrong_answers(slot, health):
        return wrong
    if slot.slow_ms is not None and health.median_ms > slot.slow_ms:
        return (
            f"is too slow here: {health.median_ms:.0f} ms for a golden sample, and"
            f" {slot.slow_ms:.0f} ms is the most"
        )
    if health.memory_bytes > memory_limit(slot):
        return (
            f"takes {health.memory_bytes / 1e6:.0f} MB of memory here, and"
            f" {slot.memory_bytes / 1e6:.0f} MB were measured"
        )
    return None


def golden_job(request: dict[str, str], progress: Progress) -> object:
    """Return the Health of the slot that a request names.

    request: the `folder` of a slot and the `slot_sha256` of its record.
    """
    folder = Path(request["folder"])
    progress("loading", 0)
    return msgspec.to_builtins(
        health_of(open_slot(folder, request["slot_sha256"]), read_golden(folder))
    )
