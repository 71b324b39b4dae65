"""The watch on the machine: real load is noticed, and the files that Linux shows are understood."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from edgekit.nouns import Conditions
from edgekit.profiles.conditions import (
    MachineWatch,
    disturbances,
    merge_worst,
    time_fixed_work,
    warnings,
)
from edgekit.profiles.energy import PowerMeter, Rapl, find_counter
from edgekit.targets.detect import detect_machine


def write(root: Path, files: dict[str, object]) -> Path:
    """Files with a line each, as in /sys."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


@pytest.mark.processes
def test_a_process_that_burns_a_core_is_noticed() -> None:
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with MachineWatch() as watch:
            time.sleep(1.0)
    finally:
        burner.kill()
        burner.wait()
    found = watch.conditions()
    assert found.others > 0.5 / detect_machine().cores
    assert any("other processes took" in reason for reason in disturbances(found)) == (
        found.others > 0.05
    )


def busy() -> float:
    """Seconds that all cores together have worked, for whomever."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def test_our_own_work_is_not_taken_for_another_s() -> None:
    start, before = time.monotonic(), busy()
    with MachineWatch() as watch:
        until = time.process_time() + 1.0
        while time.process_time() < until:
            pass
    worked, seconds = busy() - before, time.monotonic() - start
    others = (worked - 1.0) / (seconds * (psutil.cpu_count() or 1))
    assert watch.conditions().others == pytest.approx(max(0.0, others), abs=0.15)


def test_a_fixed_piece_of_work_takes_time() -> None:
    assert 0.001 < time_fixed_work(1) < 10


def test_clock_governor_heat_and_throttling_are_read(tmp_path: Path) -> None:
    cpu, zone = "devices/system/cpu/cpu0", "class/thermal/thermal_zone0"
    sys_root = write(
        tmp_path,
        {
            f"{cpu}/cpufreq/scaling_cur_freq": 3_000_000,
            f"{cpu}/cpufreq/scaling_governor": "powersave",
            f"{cpu}/thermal_throttle/core_throttle_count": 7,
            f"{zone}/temp": 61_500,
        },
    )
    with MachineWatch(sys=sys_root) as watch:
        write(tmp_path, {f"{cpu}/cpufreq/scaling_cur_freq": 1_200_000, f"{zone}/temp": 95_000})
        time.sleep(0.5)
        write(tmp_path, {f"{cpu}/thermal_throttle/core_throttle_count": 9})
    found = watch.conditions()
    assert found.mhz == (3000, 1200, 1200)
    assert found.celsius == (61.5, 95, 95)
    assert (found.governor, found.throttled) == ("powersave", 2)
    assert "the CPU throttled 2 times, it was too hot" in disturbances(found)
    assert [text.split(":")[0] for text in warnings(found)] == [
        "the CPU's governor is 'powersave'",
        "the clock frequency fell from 3000 to 1200 MHz",
    ]


def test_rapl_is_summed_over_packages_and_wraps(tmp_path: Path) -> None:
    zones = {"intel-rapl:0": (900, "package-0"), "intel-rapl:1": (100, "package-1")}
    for zone, (start, name) in zones.items():
        write(
            tmp_path / "class/powercap" / zone,
            {"name": name, "energy_uj": start, "max_energy_range_uj": 1000},
        )
    counter, source = find_counter(tmp_path)
    assert isinstance(counter, Rapl)
    assert source == "RAPL, package-0, package-1"
    write(
        tmp_path / "class/powercap", {"intel-rapl:0/energy_uj": 50, "intel-rapl:1/energy_uj": 300}
    )
    assert counter.joules() == pytest.approx((150 + 200) / 1e6)


def test_a_jetson_s_input_rail_is_watts_over_time(tmp_path: Path) -> None:
    chip = tmp_path / "class/hwmon/hwmon3"
    write(
        chip,
        {
            "name": "ina3221",
            "in1_label": "VDD_IN",
            "in1_input": 5000,
            "curr1_input": 2000,
            "in2_label": "VDD_CPU_GPU_CV",
            "in2_input": 5000,
            "curr2_input": 1000,
            "in7_label": "sum of shunt voltages",
        },
    )
    counter, source = find_counter(tmp_path)
    assert isinstance(counter, PowerMeter)
    assert source == "INA3221, VDD_IN"
    before = time.perf_counter()
    time.sleep(0.2)
    assert counter.joules() == pytest.approx(10 * (time.perf_counter() - before), rel=0.2)


def test_without_a_meter_the_reason_is_said(tmp_path: Path) -> None:
    assert find_counter(tmp_path) == (
        None,
        "not measured: this machine has no energy meter that Linux shows",
    )


def test_the_platform_s_own_counter_is_not_added_to_the_packages(tmp_path: Path) -> None:
    """psys has the packages in it."""
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:1", "psys")):
        write(
            tmp_path / "class/powercap" / zone,
            {"name": name, "energy_uj": 0, "max_energy_range_uj": 1 << 40},
        )
    counter, source = find_counter(tmp_path)
    assert counter
    assert source == "RAPL, package-0"


@pytest.mark.parametrize(
    ("cores", "is_disturbed"), [(64, True), (20, True), (4, True), (None, False)]
)
def test_one_burned_core_is_a_disturbance_however_many_there_are(
    cores: int | None, is_disturbed: bool
) -> None:
    said = list(disturbances(Conditions(others=0.9 / (cores or 64), cores=cores)))
    assert bool(said) == is_disturbed


def test_the_cores_are_those_of_the_kernel_s_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "cpu  1 0 1 100 0 0 0 0 0 0",
        *(f"cpu{number} 0 0 0 1 0 0 0 0 0 0" for number in range(64)),
        "intr 7",
    ]
    (tmp_path / "stat").write_text("\n".join(lines))
    monkeypatch.setattr("edgekit.profiles.conditions.STAT", tmp_path / "stat")
    with MachineWatch(sys=tmp_path) as watch:
        pass
    assert watch.conditions().cores == 64


def test_of_two_stretches_the_worse_counts() -> None:
    calm, busy = (
        Conditions(others=0.0, steal=0.0, cores=2),
        Conditions(others=0.3, throttled=1, slowdown=1.5),
    )
    found = merge_worst(calm, busy)
    assert (found.others, found.steal, found.slowdown) == (0.3, 0.0, 1.5)
