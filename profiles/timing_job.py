"""The timing job: one round of one variant in a fresh process, with an eye on the machine."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgekit.edge.model.device_compile import read_compiled
from edgekit.edge.model.slot import read_slot
from edgekit.edge.model.tensor_model import Model, open_model
from edgekit.job import Progress
from edgekit.nouns import Conditions, Noun, ServerFigure, Setting
from edgekit.process import forget_peak_memory, peak_memory
from edgekit.profiles.conditions import MachineWatch, merge_worst, time_fixed_work
from edgekit.profiles.energy import find_counter
from edgekit.profiles.intervals import percentile
from edgekit.profiles.scenarios import (
    EFFORTS,
    ENOUGH_FOR_P99,
    Name,
    largest_rate,
    offline,
    server,
    single_stream,
)

# at each rate that is tried; the one that is found gets all of the effort's
SEARCH_QUERIES = 4 * ENOUGH_FOR_P99
STEP_DOWN = 0.93  # of a rate that does not keep the limit with all queries
# How long a rate is held: seconds, and times the limit, since a queue needs time to grow beyond it.
LEAST_HELD, LIMITS_HELD, MOST_HELD = 2.0, 20.0, 20.0


class RoundRequest(Noun, frozen=True, kw_only=True):
    """What the job is asked.

    folder: the variant's files.
    engine: the engine that runs them.
    setting: the engine's setting.
    inputs: a JSON file with a list of inputs in the task's wire form.
    effort: the name of the effort.
    calls: how many calls of single stream to time; None takes the effort's number.
    most_seconds: the most time for these calls; None takes the effort's.
    begins_at: the share of the inputs that this round leaves for the end, so that rounds see
    others.
    cores: how many cores the calibration loop uses.
    is_cold: whether the model's files are dropped from the page cache first.
    server_limit_ms: the limit on p99 in ms; None leaves the server scenario out.
    """

    folder: str
    engine: str
    setting: Setting
    inputs: str
    effort: Name
    calls: int | None = None
    most_seconds: float | None = None
    begins_at: float = 0.0
    cores: int
    is_cold: bool = False
    server_limit_ms: float | None = None


class Round(Noun, frozen=True, kw_only=True):
    """What one round found of a variant.

    times_ms: the time of each call of single stream, in ms.
    is_stable: whether the warm-up ended in stable windows.
    samples: how many samples the offline scenario answered.
    seconds: how long it took for them.
    load_ms: the time to load the model, in ms.
    is_cold: whether its files came from the disk.
    peak_rss_bytes: the peak memory of the process.
    joules: the energy of the offline scenario; None where nothing measures it.
    energy_source: which meter measured that, or why none did.
    calibration_s: the time of the fixed piece of work, the slower of before and after, in seconds.
    conditions: the state of the machine.
    server: the figure of the server scenario, if there is one.
    server_said: what is to be said of the search for it.
    """

    times_ms: list[float]
    is_stable: bool
    samples: int
    seconds: float
    load_ms: float
    is_cold: bool
    peak_rss_bytes: int
    joules: float | None
    energy_source: str
    calibration_s: float
    conditions: Conditions
    server: ServerFigure | None = None
    server_said: str = ""


def round_job(request: object, progress: Progress) -> object:
    """Return the Round."""
    asked = msgspec.convert(request, RoundRequest)
    effort = EFFORTS[asked.effort]
    effort = replace(
        effort,
        calls=asked.calls or effort.calls,
        most_seconds=asked.most_seconds or effort.most_seconds,
    )
    calibration = time_fixed_work(asked.cores)
    is_cold = asked.is_cold and drop_from_page_cache(Path(asked.folder))
    model, inputs, load_ms = _load(asked)
    counter, source = find_counter()
    with MachineWatch(counter=counter) as watch:
        progress("single stream", 0)
        times, is_stable = single_stream(model, inputs, effort)
        progress("offline", 0.5)
        full = offline(
            model,
            inputs,
            effort.seconds,
            effort.samples,
            counter.joules if counter else lambda: 0.0,
        )
    slower, conditions = max(calibration, time_fixed_work(asked.cores)), watch.conditions()
    found = Search(None)
    if asked.server_limit_ms is not None:
        progress("server", 0.7)
        with MachineWatch() as watch:
            most = full.samples / full.seconds
            found = largest_poisson_rate(
                model,
                inputs,
                asked.server_limit_ms,
                most,
                effort.queries,
                effort.most_server_seconds,
            )
        slower, conditions = (
            max(slower, time_fixed_work(asked.cores)),
            merge_worst(conditions, watch.conditions()),
        )
    return msgspec.to_builtins(
        Round(
            times_ms=[round(value, 4) for value in times.tolist()],
            is_stable=is_stable,
            samples=full.samples,
            seconds=full.seconds,
            load_ms=load_ms,
            is_cold=is_cold,
            peak_rss_bytes=peak_memory(),
            joules=full.joules if counter else None,
            energy_source=source,
            calibration_s=slower,
            conditions=conditions,
            server=found.figure,
            server_said=found.said,
        )
    )


def _load(asked: RoundRequest) -> tuple[Model, list[Any], float]:
    """Load the model; return it, its inputs, and the milliseconds that it took, engine and all."""
    wire = msgspec.json.decode(Path(asked.inputs).read_bytes())
    forget_peak_memory()
    folder = Path(asked.folder)
    before = time.perf_counter()
    compiled = (
        read_compiled(folder, read_slot(folder)) if (folder / "slot.json").is_file() else None
    )
    model = open_model(folder, asked.engine, asked.setting, compiled)
    load_ms = (time.perf_counter() - before) * 1e3
    first = int(asked.begins_at * len(wire))
    return model, [model.task.parse(value) for value in wire[first:] + wire[:first]], load_ms


def drop_from_page_cache(folder: Path) -> bool:
    """Drop a folder's files from the page cache, so that the next load reads from the disk.

    Returns False where a file stays in memory (tmpfs, or somebody maps it).
    """
    dropped = [_dropped(path) for path in folder.rglob("*") if path.is_file()]
    return all(dropped)


def _dropped(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)  # what has not been written yet can't be dropped
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        return not os.fstat(handle).st_size or not os.preadv(
            handle, [bytearray(1)], 0, os.RWF_NOWAIT
        )
    except BlockingIOError:
        return True  # it would have to be read
    except OSError:
        return False  # a file system that can't say
    finally:
        os.close(handle)


class Search(NamedTuple):
    """The server scenario's figure, if there is one, and what is to be said of the search."""

    figure: ServerFigure | None
    said: str = ""


def largest_poisson_rate(
    model: Model,
    inputs: Sequence[Any],
    limit_ms: float,
    most: float,
    queries: int,
    most_seconds: float = math.inf,
) -> Search:
    """Run the server scenario: find the largest rate whose p99, with its doubt, keeps the limit.

    A rate counts only if it is held for seconds, and for many times the limit; and what was found
    so is tried once more, with other arrivals.

    most: samples a second offline, beyond which the queue can only grow.
    most_seconds: the time for all of it, half of it for finding.
    """
    found: dict[float, ServerFigure | None] = {}
    held = min(max(LEAST_HELD, LIMITS_HELD * limit_ms / 1e3), MOST_HELD)
    begun = time.perf_counter()

    def keeps(rate: float, count: int, seed: int, until: float) -> bool:
        count = max(count, math.ceil(rate * held))
        if time.perf_counter() + count / rate > until:
            raise TimeoutError
        times = server(model, inputs, rate, count, limit_ms, seed)
        # the first find an empty queue
        counted = times[count // 10 :] if times is not None else None
        p99 = percentile(counted, 0.99) if counted is not None else None
        found[rate] = None
        if counted is not None and p99 is not None and p99.high <= limit_ms:
            found[rate] = ServerFigure(
                queries_per_s=rate, p99_ms=p99, limit_ms=limit_ms, queries=len(counted)
            )
        return found[rate] is not None

    rate, said = None, ""
    few = min(queries, SEARCH_QUERIES)
    try:
        rate = largest_rate(lambda rate: keeps(rate, few, 0, begun + most_seconds / 2), most)
    except TimeoutError:
        rate = max((rate for rate, figure in found.items() if figure), default=None)
        more = "a larger rate may keep the limit" if rate else "no rate was found"
        said = f"the search was cut off after {most_seconds / 2:g} s; {more}"
    lowest = rate / 2 if rate else 0.0
    try:
        while rate is not None and not keeps(rate, queries, 1, begun + most_seconds):
            rate = rate * STEP_DOWN if rate > lowest else None
    except TimeoutError:
        return Search(
            None, f"there was no time within {most_seconds:g} s to confirm what was found"
        )
    if rate is None:
        tried = f"; the lowest of {len(found)} was {min(found):.3g} queries/s" if found else ""
        return Search(None, said or f"no rate that was tried keeps a p99 of {limit_ms:g} ms{tried}")
    return Search(found[rate], said)
