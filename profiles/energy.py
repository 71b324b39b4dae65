"""Energy in joules, where the machine has a meter for it.

The meters are RAPL on Intel and AMD, INA3221 on Jetson, and a power meter in hwmon.
"""

import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Protocol

SYS = Path("/sys")


class EnergyCounter(Protocol):
    """A meter that counts the energy that was used."""

    source: str  # which meter

    def sample(self) -> None:
        """Look at the meter; often enough that power changes little in between."""

    def joules(self) -> float:
        """Return the joules since this object was made."""


class _Summed(ABC):
    """A counter that adds up what was used since it last looked; asked from several threads."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._joules = 0.0
        self._lock = threading.Lock()

    @abstractmethod
    def _since_last(self) -> float:
        """Return the joules since the last call."""

    def sample(self) -> None:
        with self._lock:
            self._joules += self._since_last()

    def joules(self) -> float:
        self.sample()
        return self._joules


class Rapl(_Summed):
    """RAPL's counters of energy, one for each package; they wrap."""

    def __init__(self, zones: list[Path]) -> None:
        super().__init__(
            f"RAPL, {', '.join((zone / 'name').read_text().strip() for zone in zones)}"
        )
        self._zones = zones
        self._ranges = [float((zone / "max_energy_range_uj").read_text()) for zone in zones]
        self._last = self._read()

    def _read(self) -> list[float]:
        return [float((zone / "energy_uj").read_text()) for zone in self._zones]

    def _since_last(self) -> float:
        before, self._last = self._last, self._read()
        steps = zip(before, self._last, self._ranges, strict=True)
        return (
            sum((new - old) if new >= old else (new - old + span) for old, new, span in steps) / 1e6
        )


class PowerMeter(_Summed):
    """A sensor of watts, summed up over time (trapezoids)."""

    def __init__(self, source: str, watts: "Watts") -> None:
        super().__init__(source)
        self._watts = watts
        self._last = (time.perf_counter(), watts.read())

    def _since_last(self) -> float:
        before, self._last = self._last, (time.perf_counter(), self._watts.read())
        return (self._last[0] - before[0]) * (self._last[1] + before[1]) / 2


class Watts(Protocol):
    """A sensor of power."""

    def read(self) -> float:
        """Return the power now, in W."""


class Ina:
    """Channels of INA3221 chips, millivolts and milliamperes, added up."""

    def __init__(self, channels: list[tuple[Path, Path]]) -> None:
        self._channels = channels

    def read(self) -> float:
        return (
            sum(
                float(volts.read_text()) * float(amps.read_text()) for volts, amps in self._channels
            )
            / 1e6
        )


class Microwatts:
    """A power file of hwmon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> float:
        return float(self._path.read_text()) / 1e6


def find_counter(sys: Path = SYS) -> tuple[EnergyCounter | None, str]:
    """Find a meter and say what it is; without one return None, and why there is none."""
    # others are parts of a package, or the platform (psys), which includes the packages
    zones = [
        zone
        for zone in sorted(sys.glob("class/powercap/intel-rapl:*"))
        if (zone / "name").is_file() and (zone / "name").read_text().startswith("package")
    ]
    if zones:
        try:
            counter = Rapl(zones)
        except OSError:
            return None, "not measured: RAPL is there, and only root may read it"
        return counter, counter.source
    for what in (_jetson, _acpi):
        with suppress(OSError, ValueError):
            if meter := what(sys):
                return meter, meter.source
    return None, "not measured: this machine has no energy meter that Linux shows"


def _jetson(sys: Path) -> PowerMeter | None:
    """Return the meter of a Jetson's board: its input rail; None if it has no rails.

    Where there is no input rail (AGX Orin), the meter sums the rails that there are.
    """
    rails: dict[str, tuple[Path, Path]] = {}
    for chip in _chips(sys, "ina3221"):
        for label in chip.glob("in*_label"):
            number = label.name.removeprefix("in").removesuffix("_label")
            current = chip / f"curr{number}_input"
            if current.exists():  # the rest are sums that the chip makes up
                rails[label.read_text().strip()] = (chip / f"in{number}_input", current)
    chosen = {name: rails[name] for name in ("VDD_IN", "POM_5V_IN") if name in rails} or rails
    if not chosen:
        return None
    return PowerMeter(f"INA3221, {' + '.join(sorted(chosen))}", Ina(list(chosen.values())))


def _acpi(sys: Path) -> PowerMeter | None:
    for chip in _chips(sys, "power_meter"):
        return PowerMeter("ACPI power meter", Microwatts(chip / "power1_average"))
    return None


def _chips(sys: Path, name: str) -> list[Path]:
    return [
        path.parent
        for path in sorted(sys.glob("class/hwmon/hwmon*/name"))
        if path.read_text().strip() == name
    ]
