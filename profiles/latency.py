"""Latency and throughput of a model in this process, on the user's own inputs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from edgekit.edge.model import Model

ENOUGH_FOR_P99 = 1000  # ten samples lie beyond it; fewer say little
WINDOW = 25  # calls; warm-up ends when three windows in a row have medians within 10 % (as Triton Model Navigator does)
MOST_WARM_UP = 10.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure: at least so many calls and so many seconds, and never longer than `most_seconds`."""

    calls: int
    seconds: float
    most_seconds: float
    sweep_seconds: float


QUICK = Effort(calls=300, seconds=1.0, most_seconds=12.0, sweep_seconds=0.4)
# A limit on p99 can only be kept by a model whose p99 is known: then the calls decide, and not the time.
QUICK_WITH_P99 = Effort(calls=ENOUGH_FOR_P99, seconds=1.0, most_seconds=1800.0, sweep_seconds=0.4)
NORMAL = Effort(calls=2 * ENOUGH_FOR_P99, seconds=5.0, most_seconds=60.0, sweep_seconds=1.5)
NORMAL_WITH_P99 = Effort(calls=2 * ENOUGH_FOR_P99, seconds=5.0, most_seconds=1800.0, sweep_seconds=1.5)


def single_stream(model: Model, inputs: Sequence[Any], effort: Effort) -> np.ndarray:
    """Milliseconds of each call with one input, from raw input to prediction; float64 [calls], warm-up left out."""
    coming = cycle(inputs)
    _warm_up(model, coming)
    times: list[float] = []
    started = time.perf_counter()
    while True:
        value = next(coming)
        before = time.perf_counter()
        model.predict([value])
        now = time.perf_counter()
        times.append((now - before) * 1e3)
        gone = now - started
        if (len(times) >= effort.calls and gone >= effort.seconds) or gone >= effort.most_seconds:
            return np.array(times)


def _warm_up(model: Model, coming: Any) -> None:  # noqa: ANN401 - an endless iterator of inputs
    medians: list[float] = []
    until = time.perf_counter() + MOST_WARM_UP
    while time.perf_counter() < until:
        window = []
        for value in islice(coming, WINDOW):
            before = time.perf_counter()
            model.predict([value])
            window.append(time.perf_counter() - before)
        medians = [*medians[-2:], float(np.median(window))]
        if len(medians) == 3 and max(medians) <= 1.1 * min(medians):
            return


def offline(model: Model, inputs: Sequence[Any], seconds: float) -> float:
    """Samples a second with full batches and every stream."""
    size = model.setting.batch_size

    def batches(until: float) -> Any:  # noqa: ANN401
        place = 0
        while time.perf_counter() < until:
            yield [inputs[(place + offset) % len(inputs)] for offset in range(size)]
            place += size

    for _ in model.answers_of_batches(batches(time.perf_counter() + seconds / 4)):
        pass
    started = time.perf_counter()
    done = sum(len(part) for part in model.answers_of_batches(batches(started + seconds)))
    return done / (time.perf_counter() - started)
