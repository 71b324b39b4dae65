"""MLPerf's scenarios for a model in this process, on the user's own inputs: single stream, offline,
server.

V. J. Reddi et al., MLPerf Inference Benchmark, ISCA 2020. Warm-up ends as in Triton Model
Navigator: when windows in a row have medians close to each other.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal, NamedTuple

import numpy as np

from edgekit.edge.model.tensor_model import Model

ENOUGH_FOR_P99 = 1000  # ten samples lie beyond it; fewer say little
# Three windows in a row whose medians lie within 10 % are stable. Each has so many calls, fewer
# where calls are slow.
WINDOW, LEAST_WINDOW, WINDOW_SECONDS, SLOW_WINDOW_SECONDS = 25, 3, 0.05, 0.25
WARM_SHARE, WARM_BATCHES = (
    0.25,
    16,
)  # before the offline scenario counts: of its time, and so many if they fit into it
HOPELESS = 20.0  # times the limit: the queue of the server scenario grows without end

Name = Literal["quick", "default", "thorough"]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure.

    rounds: fresh processes for each variant, in turns. most_warm_up: seconds. Of each round: at
    least so many `calls` and `seconds` of single stream, never longer than `most_seconds`; at least
    so many `samples` and `seconds` of offline. retries: how often a disturbed round is repeated.
    queries: of the server scenario, at the rate that is found; most_server_seconds: of its search,
    the first half for finding a rate and the rest for confirming it.
    """

    name: Name
    rounds: int
    calls: int
    seconds: float
    most_seconds: float
    most_warm_up: float
    samples: int = 0
    retries: int = 2
    sweep_seconds: float
    queries: int = ENOUGH_FOR_P99
    most_server_seconds: float = 180.0


EFFORTS: dict[Name, Effort] = {
    "quick": Effort(
        name="quick",
        rounds=3,
        calls=100,
        seconds=0.25,
        most_seconds=5.0,
        most_warm_up=1.0,
        retries=1,
        sweep_seconds=0.25,
    ),
    "default": Effort(
        name="default",
        rounds=5,
        calls=ENOUGH_FOR_P99 // 5,
        seconds=0.6,
        most_seconds=30.0,
        most_warm_up=1.5,
        retries=1,
        sweep_seconds=1.0,
    ),
    # MLPerf's least counts: 1,024 queries of single stream and 24,576 samples offline, 60 seconds
    # each; 270,336 queries of the server scenario show a p99 within 0.05 points at a confidence of
    # 0.99.
    "thorough": Effort(
        name="thorough",
        rounds=10,
        calls=1024,
        seconds=6.0,
        most_seconds=600.0,
        most_warm_up=20.0,
        samples=2458,
        retries=3,
        sweep_seconds=3.0,
        queries=270_336,
        most_server_seconds=7200.0,
    ),
}


def single_stream(model: Model, inputs: Sequence[Any], effort: Effort) -> tuple[np.ndarray, bool]:
    """Milliseconds of each call with one input, from raw input to prediction; float64 [calls],
    warm-up left out.

    The second result: whether the warm-up ended in stable windows.
    """
    coming = cycle(inputs)
    is_stable = _warm_up(model, coming, effort.most_warm_up)
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
            return np.array(times), is_stable


def _warm_up(model: Model, coming: Iterator[Any], seconds: float) -> bool:
    medians: list[float] = []
    until = time.perf_counter() + seconds
    while len(medians) < 3 or time.perf_counter() < until:
        window: list[float] = []
        while not _is_full(window):
            before = time.perf_counter()
            model.predict([next(coming)])
            window.append(time.perf_counter() - before)
        medians = [*medians[-2:], float(np.median(window))]
        if len(medians) == 3 and max(medians) <= 1.1 * min(medians):
            return True
    return False


def _is_full(window: Sequence[float]) -> bool:
    gone = sum(window)
    enough = len(window) >= WINDOW or (len(window) >= LEAST_WINDOW and gone >= SLOW_WINDOW_SECONDS)
    return enough and gone >= WINDOW_SECONDS


class Offline(NamedTuple):
    """What was answered, in how many seconds, with how many joules."""

    samples: int
    seconds: float
    joules: float


def offline(
    model: Model,
    inputs: Sequence[Any],
    seconds: float,
    samples: int = 0,
    joules: Callable[[], float] = lambda: 0.0,
) -> Offline:
    """Samples that were answered in full batches on every stream; joules: reads a counter.

    At least `samples`, and for at least `seconds`; counted from one batch's end to another's while
    all streams are busy, so that neither start nor end is in it.
    """
    over = False

    def batches() -> Iterator[Sequence[Any]]:
        coming = cycle(inputs)
        while not over:
            yield list(islice(coming, model.setting.batch_size))

    answered = model.answers_of_batches(batches())
    begun, done = time.perf_counter(), 0
    for number, _ in enumerate(answered, 1):
        gone = time.perf_counter() - begun
        # An engine compiles each length bucket when the first text needs it, so the first batches
        # say little.
        if gone >= seconds or (gone >= WARM_SHARE * seconds and number >= WARM_BATCHES):
            break
    started, joules_before = time.perf_counter(), joules()
    for part in answered:
        done += len(part)
        gone = time.perf_counter() - started
        if done >= samples and gone >= seconds:
            break
    used = joules() - joules_before
    over = True
    for _ in answered:
        pass  # what is under way
    return Offline(done, gone, used)


def samples_per_s(model: Model, inputs: Sequence[Any], seconds: float) -> float:
    """The offline scenario as one number."""
    found = offline(model, inputs, seconds)
    return found.samples / found.seconds


def server(
    model: Model, inputs: Sequence[Any], rate: float, queries: int, limit_ms: float, seed: int = 0
) -> np.ndarray | None:
    """Milliseconds from arrival to prediction of queries that arrive at random (Poisson); None if
    the queue ran away.

    rate: arrivals a second. Whenever a stream is free it takes what is waiting, up to a batch, as
    the server does. What the model raises is raised.
    """
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, queries))
    waiting: deque[int] = deque()
    times = np.full(queries, np.nan)
    problems: list[BaseException] = []
    ready, over = threading.Condition(), threading.Event()
    started = time.perf_counter()

    def take() -> list[int]:
        with ready:
            while not waiting and not over.is_set():
                ready.wait(0.05)
            return [waiting.popleft() for _ in range(min(len(waiting), model.setting.batch_size))]

    def work() -> None:
        while (indexes := take()) and not problems:
            try:
                model.predict([inputs[index % len(inputs)] for index in indexes])
            except BaseException as problem:  # noqa: BLE001 - raised where the stream is joined
                problems.append(problem)
                return
            times[indexes] = (time.perf_counter() - started - arrivals[indexes]) * 1e3

    streams = [threading.Thread(target=work, daemon=True) for _ in range(model.setting.streams)]
    for stream in streams:
        stream.start()
    ran_away = _arrive(arrivals, started, waiting, ready, limit_ms, problems)
    over.set()
    for stream in streams:
        stream.join()
    if problems:
        raise problems[0]
    return None if ran_away else times


def _arrive(
    arrivals: np.ndarray,
    started: float,
    waiting: deque[int],
    ready: threading.Condition,
    limit_ms: float,
    problems: Sequence[BaseException],
) -> bool:
    """Put each query into the queue when its time has come; True if the first one waiting is
    hopelessly late.
    """
    for index, arrival in enumerate(arrivals):
        if problems:
            return True
        pause = arrival - (time.perf_counter() - started)
        if pause > 0:
            time.sleep(pause)
        with ready:
            if (
                waiting
                and time.perf_counter() - started - arrivals[waiting[0]] > HOPELESS * limit_ms / 1e3
            ):
                waiting.clear()
                return True
            waiting.append(index)
            ready.notify()
    return False


def largest_rate(
    keeps: Callable[[float], bool], start: float, steps: int = 5, halvings: int = 9
) -> float | None:
    """The largest rate that keeps the limit, within 2^(1/32), 2.2 %; None if not even start /
    2^halvings does.
    """
    high = start
    for _ in range(halvings):
        low = high / 2
        if keeps(low):
            break
        high = low
    else:
        return None
    for _ in range(steps):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low
