"""The machine's conditions during a measurement: others' load, clock rates and temperatures.

A figure from a disturbed machine is repeated, and if that does not help, published as disturbed.
"""

import hashlib
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from edgekit.nouns import Conditions
from edgekit.profiles.energy import EnergyCounter

SYS, STAT = Path("/sys"), Path("/proc/stat")
# Share of all cores that others, or the hypervisor, may take; of many cores others may take half of
# one.
MOST_TAKEN, MOST_OF_A_CORE = 0.05, 0.5
# of the fixed piece of work; it is short, so it varies more than what is measured
MOST_SLOWDOWN = 1.3
SAMPLE_SECONDS = 0.2
LOOP_PIECE, LOOP_WARM_UP, LOOP_PIECES = bytes(1 << 18), 32, 256
TICKS_PER_SECOND = 100.0  # USER_HZ, the unit of /proc/stat on every architecture that Linux has


def time_fixed_work(cores: int) -> float:
    """Return the seconds that a fixed piece of work takes on every core at once.

    With another process on a core it takes longer.
    """

    def work(pieces: int) -> None:
        digest = hashlib.sha256()
        for _ in range(pieces):
            digest.update(LOOP_PIECE)  # releases the interpreter's lock

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, [LOOP_WARM_UP] * cores))  # threads are there, clocks are up
        before = time.perf_counter()
        list(pool.map(work, [LOOP_PIECES] * cores))
        return time.perf_counter() - before


class _Ticks(NamedTuple):
    """Seconds of CPU time, of the machine since boot and of this process since it began."""

    busy: float
    steal: float
    total: float
    own: float


class MachineWatch:
    """A watch that samples the machine inside `with`; then ask `watch.conditions()`."""

    def __init__(self, sys: Path = SYS, counter: EnergyCounter | None = None) -> None:
        self._sys = sys
        self._counter = counter
        self._mhz: list[float] = []
        self._celsius: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, daemon=True)

    def __enter__(self) -> Self:
        self._before, self._throttled = self._ticks(), self._throttle_events()
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        self._after = self._ticks()

    def _sample_until_stopped(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        if mhz := [
            value / 1e3
            for value in self._numbers("devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")
        ]:
            self._mhz.append(float(np.mean(mhz)))
        if celsius := [value / 1e3 for value in self._numbers("class/thermal/thermal_zone*/temp")]:
            self._celsius.append(max(celsius))
        if self._counter:
            self._counter.sample()

    def conditions(self) -> Conditions:
        """Return what was seen between entering and leaving."""
        before, after = self._before, self._after
        total = max(after.total - before.total, 1 / TICKS_PER_SECOND)
        others = (after.busy - before.busy) - (after.own - before.own)
        events = self._throttle_events()
        return Conditions(
            cores=_cores(),
            others=max(0.0, others / total),
            steal=(after.steal - before.steal) / total,
            governor=self._governor(),
            mhz=(self._mhz[0], min(self._mhz), self._mhz[-1]) if self._mhz else None,
            celsius=(
                (self._celsius[0], max(self._celsius), self._celsius[-1]) if self._celsius else None
            ),
            throttled=(
                events - self._throttled
                if events is not None and self._throttled is not None
                else None
            ),
        )

    def _ticks(self) -> _Ticks:
        first = STAT.read_text().split("\n", 1)[0]
        user, nice, system, idle, waiting, irq, soft, steal = (
            float(word) / TICKS_PER_SECOND for word in first.split()[1:9]
        )
        busy = user + nice + system + irq + soft
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return _Ticks(busy, steal, busy + idle + waiting + steal, usage.ru_utime + usage.ru_stime)

    def _governor(self) -> str | None:
        found = set()
        for path in self._sys.glob("devices/system/cpu/cpu*/cpufreq/scaling_governor"):
            with suppress(OSError):
                found.add(path.read_text().strip())
        return ", ".join(sorted(found)) or None

    def _throttle_events(self) -> int | None:
        events = list(self._numbers("devices/system/cpu/cpu*/thermal_throttle/*_throttle_count"))
        return int(sum(events)) if events else None

    def _numbers(self, pattern: str) -> Iterator[float]:
        for path in sorted(self._sys.glob(pattern)):
            with suppress(OSError, ValueError):  # a sensor that is asleep answers with an error
                yield float(path.read_text())


def _cores() -> int:
    """Return the number of cores that the shares of /proc/stat are of."""
    return sum(line[:3] == "cpu" and line[3:4].isdigit() for line in STAT.read_text().splitlines())


def merge_worst(one: Conditions, other: Conditions) -> Conditions:
    """Merge the conditions of two consecutive measurements, keeping the worse of each."""
    return Conditions(
        cores=one.cores,
        others=max(one.others, other.others),
        steal=max((item.steal for item in (one, other) if item.steal is not None), default=None),
        slowdown=max(one.slowdown, other.slowdown),
        governor=one.governor,
        mhz=(
            (one.mhz[0], min(*one.mhz, *other.mhz), other.mhz[2])
            if one.mhz and other.mhz
            else one.mhz
        ),
        celsius=(
            (one.celsius[0], max(*one.celsius, *other.celsius), other.celsius[2])
            if one.celsius and other.celsius
            else one.celsius
        ),
        throttled=None if one.throttled is None else one.throttled + (other.throttled or 0),
    )


def most_taken(conditions: Conditions) -> float:
    """Return the share of CPU time that others may take: at most half of one core."""
    return min(MOST_TAKEN, MOST_OF_A_CORE / conditions.cores) if conditions.cores else MOST_TAKEN


def disturbances(conditions: Conditions) -> Iterator[str]:
    """Say why a figure that was measured under these conditions is not clean."""
    allowed = most_taken(conditions)
    if conditions.others > allowed:
        if allowed == MOST_TAKEN:
            yield f"other processes took {conditions.others:.0%} of the CPU time"
        else:
            yield (
                f"other processes took {conditions.others:.1%} of the CPU time; "
                f"{allowed:.1%} is allowed, half of one of {conditions.cores} cores"
            )
    if conditions.steal is not None and conditions.steal > MOST_TAKEN:
        yield f"the hypervisor took {conditions.steal:.0%} of the CPU time"
    if conditions.slowdown > MOST_SLOWDOWN:
        yield f"a fixed piece of work took {conditions.slowdown:.2f} times its best"
    if conditions.throttled:
        yield f"the CPU throttled {conditions.throttled} times, it was too hot"


def warnings(conditions: Conditions) -> Iterator[str]:
    """Say what should be known about a figure, though it does not spoil it."""
    if conditions.governor in ("powersave", "conservative", "ondemand"):
        yield (
            f"the CPU's governor is {conditions.governor!r}: short calls may be measured at a low"
            " clock"
        )
    if conditions.mhz and conditions.mhz[1] < 0.8 * max(conditions.mhz):
        low, high = conditions.mhz[1], max(conditions.mhz)
        yield f"the clock frequency fell from {high:.0f} to {low:.0f} MHz"
