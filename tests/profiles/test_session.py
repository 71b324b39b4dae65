"""The timing session: turns, repeats, resuming; and MLPerf's server scenario."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest

from edgekit.errors import EngineFailed, JobFailed
from edgekit.nouns import Conditions, Noun, Performance, Setting
from edgekit.profiles.scenarios import EFFORTS, offline, server
from edgekit.profiles.session import Contender, Plan, TimingSession, performances, run_session
from edgekit.profiles.timing_job import (
    Round,
    RoundRequest,
    drop_from_page_cache,
    largest_poisson_rate,
)

PLAN = Plan(effort="quick", cores=2, inputs="")
CONTENDERS = [
    Contender(name=name, folder=name, engine="onnxruntime", setting=Setting())
    for name in ("a", "b", "c")
]


class Machine:
    """Answers rounds as a machine would: `slow` names what is slow in which of its turns."""

    def __init__(
        self, crash: str = "", busy_turns: Sequence[int] = (), signal: str = "SIGSEGV"
    ) -> None:
        self.asked: list[str] = []
        self.begins: list[tuple[str, float]] = []
        self._crash, self._busy, self._signal = crash, busy_turns, signal

    def run(self, function: str, request: Noun, what: str) -> object:
        assert function == "edgekit.profiles.timing_job:round_job"
        assert isinstance(request, RoundRequest)
        self.asked.append(what)
        self.begins.append((what, request.begins_at))
        if what == self._crash:
            raise JobFailed(f"crashed with {self._signal}", self._signal)
        is_busy = len(self.asked) in self._busy
        factor = {"a": 1.0, "b": 1.5, "c": 3.0}[what] * (2.0 if is_busy else 1.0)
        times = np.linspace(0.9, 1.1, request.calls or 1) * factor
        return msgspec.to_builtins(
            Round(
                times_ms=times.tolist(),
                is_stable=True,
                samples=1000,
                seconds=factor,
                load_ms=20.0,
                is_cold=request.is_cold,
                peak_rss_bytes=1 << 20,
                joules=None,
                energy_source="not measured: no meter",
                calibration_s=0.03,
                conditions=Conditions(others=0.4 if is_busy else 0.0),
            )
        )


def measured(session: TimingSession, name: str) -> Performance:
    """One contender's, which was not to fail."""
    found = performances(session, PLAN)[name]
    assert isinstance(found, Performance), found
    return found


def nothing(what: str, stage: str, share: float) -> None:
    """Nobody looks."""


def test_every_round_has_a_turn_of_each_and_the_order_changes() -> None:
    machine = Machine()
    session = run_session(CONTENDERS, PLAN, machine.run, nothing)
    rounds = [machine.asked[start : start + 3] for start in range(0, 9, 3)]
    assert [sorted(names) for names in rounds] == [["a", "b", "c"]] * 3
    assert len({tuple(names) for names in rounds}) > 1
    found = measured(session, "b")
    assert found.p50_ms.value == pytest.approx(1.5)
    assert found.samples_per_s.value == pytest.approx(1000 / 1.5)
    assert (found.rounds, found.calls, found.disturbed) == (3, 300, ())
    assert found.p99_ms is None
    assert found.cold_load_ms == found.load_ms == 20.0


def test_a_limit_on_p99_gets_the_calls_it_needs() -> None:
    plan = msgspec.structs.replace(PLAN, p99_limit_ms=10.0)
    session = run_session(CONTENDERS, plan, Machine().run, nothing)
    found = performances(session, plan)["a"]
    assert isinstance(found, Performance)
    assert found.calls >= 1000
    assert found.p99_ms
    assert found.p99_ms.low <= found.p99_ms.value <= found.p99_ms.high


def test_a_disturbed_turn_is_repeated_at_the_end_of_its_round() -> None:
    machine, plan = Machine(busy_turns=[1]), msgspec.structs.replace(PLAN, effort="default")
    session = run_session(CONTENDERS, plan, machine.run, nothing)
    assert machine.asked[3] == machine.asked[0]
    assert len(machine.asked) == 3 * EFFORTS["default"].rounds + 1
    assert measured(session, machine.asked[0]).disturbed == ()


def test_a_quick_measurement_repeats_nothing_and_says_what_was_disturbed() -> None:
    machine = Machine(busy_turns=[1])
    session = run_session(CONTENDERS, PLAN, machine.run, nothing)
    assert len(machine.asked) == 3 * EFFORTS["quick"].rounds
    assert len(measured(session, machine.asked[0]).disturbed) == 1


def test_what_stays_disturbed_is_said_and_never_clean() -> None:
    session = run_session(CONTENDERS, PLAN, Machine(busy_turns=range(100)).run, nothing)
    found = measured(session, "a")
    assert found.disturbed[0] == "round 1: other processes took 40% of the CPU time"
    assert len(found.disturbed) == EFFORTS["quick"].rounds


def test_a_crash_takes_out_one_contender() -> None:
    session = run_session(CONTENDERS, PLAN, Machine(crash="b").run, nothing)
    assert performances(session, PLAN)["b"] == "crashed with SIGSEGV"
    assert measured(session, "a").rounds == 3


def test_a_killed_session_goes_on_with_the_next_round() -> None:
    kept: list[TimingSession] = []
    whole = run_session(CONTENDERS, PLAN, Machine().run, nothing, keep=kept.append)
    assert [len(session.rounds) for session in kept] == [1, 2, 3]
    again = Machine()
    assert run_session(CONTENDERS, PLAN, again.run, nothing, begun=kept[1]) == whole
    assert len(again.asked) == 3


def test_who_was_killed_gets_another_session_and_who_crashes_does_not() -> None:
    killed = run_session(CONTENDERS, PLAN, Machine(crash="b", signal="SIGKILL").run, nothing)
    again = Machine()
    session = run_session(CONTENDERS, PLAN, again.run, nothing, begun=killed)
    assert measured(session, "b").rounds == 3
    crashed = run_session(CONTENDERS, PLAN, Machine(crash="b").run, nothing)
    again = Machine()
    assert run_session(CONTENDERS, PLAN, again.run, nothing, begun=crashed) == crashed
    assert again.asked == []


def test_each_round_begins_at_other_inputs_the_same_for_all() -> None:
    machine = Machine()
    run_session(CONTENDERS, PLAN, machine.run, nothing)
    assert sorted(set(machine.begins)) == [
        (name, number / 3) for name in "abc" for number in range(3)
    ]


def test_of_two_each_goes_first_in_every_other_round() -> None:
    machine = Machine()
    run_session(
        CONTENDERS[:2], msgspec.structs.replace(PLAN, effort="thorough"), machine.run, nothing
    )
    assert machine.asked[::2].count("a") == 5


class Echo:
    """A task that takes an answer for a prediction."""

    def length(self, value: object) -> int:
        return 1

    def decode(self, inputs: Sequence[Any], answers: Sequence[Any]) -> list[Any]:
        return list(answers)


class Sleeper:
    """A model that takes 4 ms a call, whatever the batch: it can answer 8 inputs a call."""

    setting = Setting(batch_size=8)
    task = Echo()

    def attempt(self, inputs: Sequence[Any]) -> list[Any]:
        time.sleep(0.004)
        return list(inputs)


def test_the_server_scenario_counts_the_wait_and_batches_what_waits() -> None:
    model: Any = Sleeper()
    calm = server(model, ["x"], rate=50, queries=60, limit_ms=100)
    assert calm is not None
    assert calm.min() >= 4
    crowded = server(model, ["x"], rate=800, queries=300, limit_ms=1000)
    assert crowded is not None, "eight at a time it does 2,000 a second"
    assert server(model, ["x"], rate=20_000, queries=4000, limit_ms=2) is None, "nobody does that"


@pytest.mark.slow
def test_the_largest_rate_keeps_the_limit_and_is_one_that_can_be_sustained() -> None:
    """Offline, without a queue, it seems to do four times what it can."""
    model: Any = Sleeper()
    found, said = largest_poisson_rate(model, ["x"], limit_ms=50, most=8000, queries=1000)
    assert found
    assert not said
    assert found.p99_ms.high <= 50
    assert 200 < found.queries_per_s <= 2000
    assert found.queries > 1.7 * found.queries_per_s, (
        "held for two seconds, of which the first tenth does not count"
    )


def test_the_search_for_a_rate_comes_to_an_end() -> None:
    model: Any = Sleeper()
    found, said = largest_poisson_rate(
        model, ["x"], limit_ms=0.1, most=2000, queries=50, most_seconds=0.1
    )
    assert found is None
    assert "cut off after 0.05 s" in said


def test_what_the_engine_raises_in_the_server_scenario_is_raised() -> None:
    class Broken(Sleeper):
        def attempt(self, inputs: Sequence[Any]) -> list[Any]:
            return [EngineFailed("no") for _ in inputs]

    model: Any = Broken()
    with pytest.raises(EngineFailed, match="no"):
        server(model, ["x"], rate=100, queries=50, limit_ms=100)


class Steady:
    """A model whose batches take 20 ms on one stream."""

    setting = Setting(batch_size=4)

    def answers(self, inputs: Sequence[Any]) -> list[Any]:
        time.sleep(0.02)
        return list(inputs)


def test_joules_are_of_the_samples_that_are_counted() -> None:
    """Joules are ten times the seconds of the counted part at a constant 10 W.

    What came before that part does not count.
    """
    model: Any = Steady()
    found = offline(model, ["x"], 0.4, joules=lambda: 10 * time.perf_counter())
    assert found.joules == pytest.approx(10 * found.seconds, rel=0.02)


def test_a_cold_load_is_one_that_reads_the_disk(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for path in (tmp_path / "model.bin", tmp_path / "sub" / "blob"):
        path.write_bytes(b"x" * (1 << 20))  # not written to the disk yet
    assert drop_from_page_cache(tmp_path) == (not is_in_memory(tmp_path))
    shared = Path("/dev/shm")  # noqa: S108 - a file system in memory
    if is_in_memory(shared):
        with tempfile.TemporaryDirectory(dir=shared) as name:
            (Path(name) / "model.bin").write_bytes(b"x" * 5000)
            assert not drop_from_page_cache(Path(name))


def is_in_memory(folder: Path) -> bool:
    """Whether its file system is a tmpfs."""
    found = max(
        (
            item
            for item in psutil.disk_partitions(all=True)
            if folder.resolve().is_relative_to(item.mountpoint)
        ),
        key=lambda item: len(item.mountpoint),
    )
    return found.fstype == "tmpfs"
