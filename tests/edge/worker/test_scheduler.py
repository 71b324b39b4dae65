"""The scheduler: what waits is joined, owners take turns, nothing is held back, order is kept."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks.predictions import Label
from edgekit.edge.worker.scheduler import (
    FREE_PADDING,
    MOST_TOGETHER,
    Outcome,
    Request,
    TensorScheduler,
    joined,
)
from edgekit.errors import EdgekitError, EngineFailed
from edgekit.nouns import Setting
from tests import null_model


class Recorder:
    """A model that notes its calls and waits until it is told to go on.

    An input is a pair: a name, and its length.
    """

    task: Any = None

    def __init__(self, batch_size: int, streams: int = 1) -> None:
        self.setting = Setting(batch_size=batch_size, streams=streams)
        self.task = self
        self.calls: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def length(self, value: tuple[str, int]) -> int:
        return value[1]

    def attempt(self, inputs: Sequence[tuple[str, int]]) -> list[Any]:
        self.calls.append([name for name, _ in inputs])
        self.entered.release()
        assert self.gate.acquire(timeout=20)
        return [np.zeros(1) for _ in inputs]


class Answers:
    """Outcomes by the name of their request."""

    def __init__(self) -> None:
        self.found: dict[str, list[Outcome]] = {}
        self.come = threading.Semaphore(0)

    def of(self, name: str) -> Callable[[list[Outcome]], None]:
        """Return what notes a request's outcomes."""

        def done(outcomes: list[Outcome]) -> None:
            self.found[name] = outcomes
            self.come.release()

        return done

    def wait(self, count: int) -> None:
        """Wait for so many requests' outcomes."""
        for _ in range(count):
            assert self.come.acquire(timeout=20)


def asked(scheduler: TensorScheduler, answers: Answers, owner: str, *names: str) -> Request:
    """Ask one request with an input of length 1 for each name."""
    request = Request([(name, 1) for name in names], answers.of("".join(names)))
    scheduler.ask(request, owner)
    return request


def test_what_waits_is_joined_and_nothing_waits_for_more() -> None:
    recorder, answers = Recorder(batch_size=4), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        asked(scheduler, answers, "1", "a")
        assert recorder.entered.acquire(timeout=20)  # the first is not held back for others
        for number, name in enumerate("bcdefg"):
            asked(scheduler, answers, str(number), name)
        recorder.gate.release(10)
        answers.wait(7)
    assert recorder.calls == [["a"], ["b", "c", "d", "e"], ["f", "g"]]


def test_owners_take_turns_row_by_row() -> None:
    recorder, answers = Recorder(batch_size=4), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        asked(scheduler, answers, "greedy", *(f"g{number}" for number in range(20)))
        assert recorder.entered.acquire(timeout=20)
        for name in ("x", "y"):
            asked(scheduler, answers, name, name)
        recorder.gate.release(2)
        answers.wait(2)
        assert set(answers.found) == {"x", "y"}, "the others' rows come before most of the greedy"
        recorder.gate.release(10)
        answers.wait(1)
    assert sorted(recorder.calls[1]) == ["g4", "g5", "x", "y"]
    assert sum(map(len, recorder.calls)) == 22


def test_streams_share_one_request_and_none_takes_all_of_it() -> None:
    recorder, answers = Recorder(batch_size=256, streams=2), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        asked(scheduler, answers, "1", *map(str, range(16)))
        for _ in range(2):  # the second stream has work while the first is at its own
            assert recorder.entered.acquire(timeout=20)
        assert sorted(map(len, recorder.calls)) == [4, 8]
        recorder.gate.release(20)
        answers.wait(1)
    assert sum(map(len, recorder.calls)) == 16


def test_inputs_of_like_length_are_joined() -> None:
    recorder, answers = Recorder(batch_size=3), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        asked(scheduler, answers, "first", "first")
        assert recorder.entered.acquire(timeout=20)
        lengths = {"a": 5000, "b": 50, "c": 4900, "d": 60, "e": 5100, "f": 40}
        for name, length in lengths.items():
            scheduler.ask(Request([(name, length)], answers.of(name)), name)
        recorder.gate.release(10)
        answers.wait(7)
    assert [sorted(call) for call in recorder.calls[1:]] == [["a", "c", "e"], ["b", "d", "f"]]


@pytest.mark.parametrize(
    ("lengths", "size", "expected"),
    [
        ([], 4, []),
        ([7], 1, [0]),
        ([7, 7, 7], 2, [0, 1]),
        ([10, 4000, 12], 3, [0, 2]),  # most of the work would be padding
        ([4000, 10, 12], 3, [0]),
        ([10, FREE_PADDING // 2, 12], 3, [0, 2, 1]),  # too little padding to count
        ([1000, 1100, 900, 1050], 3, [0, 3, 1]),
        # long documents are many engine calls each: others wait for a few at most
        ([MOST_TOGETHER // 2] * 4, 4, [0, 1]),
        ([MOST_TOGETHER * 2] * 4, 4, [0]),
    ],
)
def test_what_makes_one_call(lengths: list[int], size: int, expected: list[int]) -> None:
    assert joined(lengths, size) == expected


def test_the_oldest_is_never_passed_over() -> None:
    """However many short ones come, a long one has its turn."""
    recorder, answers = Recorder(batch_size=2), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        asked(scheduler, answers, "first", "first")
        assert recorder.entered.acquire(timeout=20)
        scheduler.ask(Request([("long", 10_000)], answers.of("long")), "long")
        for number in range(50):
            asked(scheduler, answers, f"s{number}", f"s{number}")
        recorder.gate.release(100)
        answers.wait(52)
    assert recorder.calls[1] == ["long"]


def test_a_cancelled_request_has_no_turn_and_no_answer() -> None:
    recorder, answers = Recorder(batch_size=4), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        first = asked(scheduler, answers, "1", "first")
        assert recorder.entered.acquire(timeout=20)
        gone = asked(scheduler, answers, "2", "x", "y")
        asked(scheduler, answers, "3", "z")
        gone.is_cancelled = first.is_cancelled = True
        recorder.gate.release(10)
        answers.wait(1)
    assert recorder.calls == [["first"], ["z"]]
    assert list(answers.found) == ["z"]


def test_work_that_is_alone_comes_first_and_is_joined_with_nothing() -> None:
    recorder, answers = Recorder(batch_size=4), Answers()
    model: Any = recorder
    with TensorScheduler(model) as scheduler:
        asked(scheduler, answers, "1", "first")
        assert recorder.entered.acquire(timeout=20)
        asked(scheduler, answers, "2", "x", "y")
        scheduler.ask(Request([("k", 1), ("l", 1)], answers.of("kl")), "3", alone=True)
        recorder.gate.release(10)
        answers.wait(3)
    assert recorder.calls == [["first"], ["k"], ["l"], ["x", "y"]]


@pytest.mark.parametrize("streams", [1, 3])
def test_batches_stay_in_order_and_whole(tmp_path: Path, streams: int) -> None:
    model = null_model.model(tmp_path, streams=streams, batch_size=2)
    rows = [[float(number), 0.0, 1.0] for number in range(50)]
    batches = [rows[start : start + 3] for start in range(0, 50, 3)]
    with TensorScheduler(model) as scheduler:
        found = [row for part in scheduler.in_order(batches, model.answers) for row in part]
    assert np.array_equal(np.stack(found), np.stack(model.answers(rows)))


def test_an_error_of_one_input_spoils_no_other(tmp_path: Path) -> None:
    model = null_model.model(tmp_path, batch_size=4, faults={"77": "raise", "88": "nan"})
    answers = Answers()
    with TensorScheduler(model) as scheduler:
        for name, first in (("a", 1.0), ("b", 77.0), ("c", 88.0), ("d", 2.0)):
            scheduler.ask(Request([[first, 0.0, 0.0]], answers.of(name)), name)
        answers.wait(4)
    kinds = {name: type(found[0]) for name, found in answers.found.items()}
    assert kinds == {"a": Label, "b": EngineFailed, "c": EngineFailed, "d": Label}
    assert "not a number" in str(answers.found["c"][0])
    assert "asked to fail" not in str(answers.found["b"][0]), "an engine's text could quote input"


def test_many_clients_at_once_get_their_own_answers(tmp_path: Path) -> None:
    model = null_model.model(tmp_path, streams=3, batch_size=8)
    answers = Answers()
    rows = {str(number): [float(number), 1.0, 2.0] for number in range(400)}
    with TensorScheduler(model) as scheduler:

        def ask(names: Sequence[str]) -> None:
            for name in names:
                scheduler.ask(Request([rows[name]], answers.of(name)), name)

        names = list(rows)
        clients = [threading.Thread(target=ask, args=(names[start::4],)) for start in range(4)]
        for client in clients:
            client.start()
        answers.wait(len(rows))
        for client in clients:
            client.join()
    for name, row in rows.items():
        [said] = answers.found[name]
        assert not isinstance(said, EdgekitError)
        assert said == model.predict([row])[0]


def test_a_closed_scheduler_leaves_no_thread_and_no_promise(tmp_path: Path) -> None:
    model: Model = null_model.model(tmp_path, streams=2)
    scheduler = TensorScheduler(model)
    before = threading.active_count()
    scheduler.close()
    assert threading.active_count() == before - 2
