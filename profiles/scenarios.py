"""MLPerf's scenarios for a model in this process: single stream, offline and server.

They run on the user's own inputs. V. J. Reddi et al., MLPerf Inference Benchmark, ISCA 2020.
Warm-up ends as in Triton Model Navigator: when windows in a row have medians close to each other.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal, NamedTuple

import numpy as np

from edgekit.edge.model.tensor_model import Model
from edgekit.edge.worker.scheduler import Outcome, Request, TensorScheduler
from edgekit.errors import EdgekitError

ENOUGH_FOR_P99 = 1000  # ten samples lie beyond it; fewer say little
# Three windows in a row whose medians lie within 10 % are stable. Each has so many calls, fewer
# where calls are slow.
WINDOW, LEAST_WINDOW, WINDOW_SECONDS, SLOW_WINDOW_SECONDS = 25, 3, 0.05, 0.25
# before the offline scenario counts: of its time, and so many if they fit into it
WARM_SHARE, WARM_BATCHES = 0.25, 16
HOPELESS = 20.0  # times the limit: the queue of the server scenario grows without end

Name = Literal["quick", "default", "thorough"]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure.

    name: the effort's name.
    rounds: fresh processes for each variant, in turns.
    calls: the least number of calls of single stream in a round.
    seconds: the least time of single stream, and of offline, in a round.
    most_seconds: the most time of single stream in a round.
    most_warm_up: the most time of the warm-up, in seconds.
    samples: the least number of samples of offline in a round.
    retries: how often a disturbed round is repeated.
    sweep_seconds: how long a setting is tried in the sweep.
    queries: how many queries the server scenario asks at the rate that is found.
    most_server_seconds: the most time of that scenario's search, the first half for finding a rate
    and the rest for confirming it.
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
        retries=0,
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
    """Measure calls with one input each; return their times in ms, and if the warm-up got stable.

    The times are float64 [calls], from raw input to prediction, without the warm-up. It is stable
    if it ended in windows with medians close to each other.
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
    """Measure how many samples are answered in full batches on every stream.

    At least `samples` are answered, and for at least `seconds`. They are counted from one batch's
    end to another's while all streams are busy, so that neither start nor end is in it.

    joules: reads a counter of energy.
    """
    over = False

    def batches() -> Iterator[Sequence[Any]]:
        coming = cycle(inputs)
        while not over:
            yield list(islice(coming, model.setting.batch_size))

    with TensorScheduler(model) as scheduler:
        answered = scheduler.in_order(batches(), model.answers)
        begun, done = time.perf_counter(), 0
        for number, _ in enumerate(answered, 1):
            gone = time.perf_counter() - begun
            # An engine compiles each length bucket when the first text needs it, so the first
            # batches say little.
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
    """Run the offline scenario and return its one number, samples a second."""
    found = offline(model, inputs, seconds)
    return found.samples / found.seconds


def server(
    model: Model, inputs: Sequence[Any], rate: float, queries: int, limit_ms: float, seed: int = 0
) -> np.ndarray | None:
    """Return ms from arrival to prediction of queries that arrive at random; None if they pile up.

    rate: arrivals a second, a Poisson process; each query is another client's. They go through the
    scheduler of the worker that serves; HTTP and the way from the front to the worker are not in
    it. Raises EngineFailed over an input that has no answer.
    """
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, queries))
    queue = _Queue(inputs, arrivals)
    with TensorScheduler(model) as scheduler:
        for index, arrival in enumerate(arrivals):
            pause = arrival - queue.now()
            if pause > 0:
                time.sleep(pause)
            if queue.problems or queue.delay() > HOPELESS * limit_ms / 1e3:
                break
            scheduler.ask(queue.request(index), owner=str(index))
        else:
            queue.all_answered.wait()
    if queue.problems:
        raise queue.problems[0]
    return queue.times_ms if queue.all_answered.is_set() else None


class _Queue:
    """The queries of a server scenario, and when each was answered.

    times_ms: from arrival to prediction, float64 [queries]; NaN for what has no answer yet.
    """

    def __init__(self, inputs: Sequence[Any], arrivals: np.ndarray) -> None:
        self.times_ms = np.full(len(arrivals), np.nan)
        self.problems: list[EdgekitError] = []
        self.all_answered = threading.Event()
        self._inputs = inputs
        self._arrivals = arrivals
        self._oldest = self._answered = 0
        self._lock = threading.Lock()
        self._started = time.perf_counter()

    def now(self) -> float:
        """Return the seconds since the scenario began."""
        return time.perf_counter() - self._started

    def delay(self) -> float:
        """Return how many seconds ago the oldest query arrived that waits still."""
        while self._oldest < len(self.times_ms) and not np.isnan(self.times_ms[self._oldest]):
            self._oldest += 1
        return self.now() - float(self._arrivals[min(self._oldest, len(self._arrivals) - 1)])

    def request(self, index: int) -> Request:
        """Return a query as the scheduler takes it."""
        value = self._inputs[index % len(self._inputs)]

        def done(outcomes: list[Outcome]) -> None:
            [outcome] = outcomes
            if isinstance(outcome, EdgekitError):
                self.problems.append(outcome)
            self.times_ms[index] = (self.now() - self._arrivals[index]) * 1e3
            with self._lock:
                self._answered += 1
                if self._answered == len(self.times_ms):
                    self.all_answered.set()

        return Request([value], done)


def largest_rate(
    keeps: Callable[[float], bool], start: float, steps: int = 5, halvings: int = 9
) -> float | None:
    """Return the largest rate that keeps the limit, within 2^(1/32), 2.2 %.

    None if not even start / 2^halvings keeps it.
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
