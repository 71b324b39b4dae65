"""One worker process and the front's end of it, on the null engine: answers, ends, lies, hangs."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest

from edgekit import launch
from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.tasks.predictions import Label
from edgekit.edge.worker import handle
from edgekit.edge.worker.handle import Worker, WorkerDied
from edgekit.edge.worker.messages import FROM_FRONT, Answer, Ask, Checked, Hello, Unanswered
from edgekit.errors import Unavailable
from edgekit.frames import greeting
from edgekit.nouns import Setting
from tests import null_model

pytestmark = pytest.mark.processes
FIRST = [1.0, 2.0, 3.0]
T = TypeVar("T")


def slot(folder: Path, setting: Setting | None = None, **description: Any) -> Worker:  # noqa: ANN401
    """Write a slot and return a worker of it that has not been started."""
    digest = null_model.write_slot(folder, setting, **description)
    ref = SlotRef(manifest="sha256:0", slot_sha256=digest, version="1.0.0", variant="null-fp32")
    return Worker(folder, ref)


def running(worker: Worker, work: Callable[[Worker], Awaitable[T]]) -> T:
    """Start a worker, do something with it, and stop it."""

    async def whole() -> T:
        await worker.start(60)
        try:
            return await work(worker)
        finally:
            await worker.stop()

    return asyncio.run(whole())


def process_of(worker: Worker) -> psutil.Process:
    assert worker._process
    return psutil.Process(worker._process.pid)


def test_a_worker_says_what_it_serves_and_answers(tmp_path: Path) -> None:
    async def work(worker: Worker) -> tuple[Hello | None, Answer | Unanswered, object]:
        answer = await worker.ask([FIRST, FIRST], "me", alone=False)
        return worker.hello, answer, await worker.check()

    hello, answer, checked = running(slot(tmp_path / "slot"), work)
    assert hello is not None
    assert (hello.task, hello.labels) == ("tabular-classification", null_model.LABELS)
    assert hello.is_one_input([1, 2.5])
    assert not hello.is_one_input([[1, 2.5]])
    assert isinstance(answer, Answer)
    assert len(answer.predictions) == 2
    [expected] = null_model.model(tmp_path / "same").predict([FIRST])
    said = answer.predictions[0]
    assert isinstance(said, Label)
    assert isinstance(expected, Label)
    assert np.allclose(said.probabilities, expected.probabilities)
    assert isinstance(checked, Checked)
    assert checked.health.difference < 1e-6


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(
    ("inputs", "kind", "said"),
    [
        ([FIRST, ["CANARY", 0, 0]], "InputError", "the feature 'vibration' must be"),
        ([FIRST, [77.0, 0, 0]], "EngineFailed", "input 2: the engine failed on this input"),
        ([[88.0, 0, 0]], "EngineFailed", "the model's answer to this input is not a number"),
    ],
    ids=["no number", "raises", "NaN"],
)
def test_an_input_without_an_answer_is_a_problem(
    tmp_path: Path,
    inputs: list[object],
    kind: str,
    said: str,
    alone: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    worker = slot(tmp_path / "slot", faults={"77": "raise", "88": "nan"})

    async def work(worker: Worker) -> tuple[object, object]:
        return await worker.ask(inputs, "", alone=alone), await worker.ask([FIRST], "", alone=False)

    found, after = running(worker, work)
    assert isinstance(found, Unanswered)
    assert found.problem.kind == kind
    assert found.problem.message.startswith(said)
    assert isinstance(after, Answer)
    assert "CANARY" not in capfd.readouterr().err + found.problem.message


def test_a_crash_is_noticed_by_everybody_who_waits(tmp_path: Path) -> None:
    worker = slot(tmp_path / "slot", Setting(streams=2), seconds=0.2, faults={"99": "crash"})

    async def work(worker: Worker) -> list[object]:
        asked = [worker.ask([[99.0, 0, 0]], "a", alone=False)]
        # Rows enough that none of these is done when the engine dies.
        asked += [worker.ask([FIRST] * 500, "b", alone=False) for _ in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(WorkerDied):
            await worker.ask([FIRST], "c", alone=False)
        return list(found)

    assert {type(item) for item in running(worker, work)} == {WorkerDied}


@pytest.mark.parametrize("how", ["the engine hangs", "SIGSTOP"])
def test_a_worker_that_is_silent_is_killed(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "HANG_SECONDS", 1.0)
    worker = slot(tmp_path / "slot", faults={"99": "hang"})

    async def work(worker: Worker) -> None:
        await asyncio.sleep(1.5)  # its silence while nothing is asked says nothing
        assert isinstance(await worker.ask([FIRST], "", alone=False), Answer)
        if how == "SIGSTOP":
            process_of(worker).suspend()
        with pytest.raises(WorkerDied):
            await worker.ask([[99.0, 0, 0]], "", alone=False)

    running(worker, work)


def test_long_work_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "HANG_SECONDS", 2.0)
    worker = slot(tmp_path / "slot", seconds=0.25)

    async def work(worker: Worker) -> object:
        return await worker.ask([FIRST] * 16, "", alone=False)

    assert isinstance(running(worker, work), Answer)


def test_who_gives_up_is_forgotten(tmp_path: Path) -> None:
    """What was cancelled has no turn: the next one does not wait for it."""
    worker = slot(tmp_path / "slot", seconds=0.1)

    async def work(worker: Worker) -> float:
        many = asyncio.create_task(worker.ask([FIRST] * 500, "a", alone=False))
        await asyncio.sleep(0.3)
        many.cancel()
        await asyncio.gather(many, return_exceptions=True)
        before = asyncio.get_running_loop().time()
        for _ in range(3):
            assert isinstance(await worker.ask([FIRST], "a", alone=False), Answer)
        return asyncio.get_running_loop().time() - before

    assert running(worker, work) < 20  # it would be fifty


def test_a_changed_file_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    worker = slot(tmp_path / "slot")
    (tmp_path / "slot" / "null.json").write_text('{"width": 3, "seed": 1}')
    with pytest.raises(Unavailable, match="its files are not what was deployed") as caught:
        asyncio.run(worker.start(60))
    assert caught.value.is_unsound


def test_wrong_answers_are_said(tmp_path: Path) -> None:
    worker = slot(tmp_path / "slot", shift=0.5)
    with pytest.raises(Unavailable, match="it answers its golden samples wrongly") as caught:
        asyncio.run(worker.start(60))
    assert caught.value.is_unsound


def test_a_worker_that_crashes_as_it_starts_names_the_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = slot(tmp_path / "slot")
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'edgekit.launch' in sys.orig_argv:\n"
        f"    os.kill(os.getpid(), {int(signal.SIGSEGV)})\n"
    )
    path = os.pathsep.join(filter(None, [str(planted), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    with pytest.raises(Unavailable, match="does not start: it crashed with SIGSEGV"):
        asyncio.run(worker.start(60))


def test_a_worker_of_another_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that runs on while edgekit is updated starts workers of the new version."""
    worker = slot(tmp_path / "slot")
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'edgekit.launch' in sys.orig_argv:\n"
        "    from edgekit import frames\n"
        "    frames.VERSION = 2\n"
    )
    path = os.pathsep.join(filter(None, [str(planted), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    with pytest.raises(Unavailable, match=r"version 2 of the frames.*start it again"):
        asyncio.run(worker.start(60))


def test_a_front_that_goes_away_ends_the_worker(tmp_path: Path) -> None:
    digest = null_model.write_slot(tmp_path / "slot", seconds=0.2)
    ours, theirs = socket.socketpair()
    with theirs:
        process = launch.start(
            "edgekit.edge.worker.process:main",
            [str(tmp_path / "slot"), digest, str(theirs.fileno())],
            profile="worker",
            pass_fds=(theirs.fileno(),),
        )
    with ours:
        ours.sendall(greeting() + FROM_FRONT.pack(Ask(id=1, inputs=[FIRST])))
        assert ours.recv(10)
    assert process.wait(30) == 0
