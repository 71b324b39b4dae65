"""The watch window, with a real server.

A new version proves itself while it serves, or the one before comes back.
"""

import asyncio
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from edgekit.edge.appliance.pointer import Pointer
from edgekit.edge.appliance.store import Store
from edgekit.edge.deploy.deploy import deploy
from edgekit.edge.model.health import Health
from edgekit.edge.serving.supervisor import Pauses
from edgekit.edge.serving.watch_window import Window
from edgekit.edge.worker.messages import Checked, Unanswered
from edgekit.errors import GivenUp
from edgekit.locks import brief_lock
from edgekit.problems import Problem
from tests import small
from tests.conftest import edgekit
from tests.edge.serving.test_server import Server

VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


@dataclass(frozen=True)
class Boxes:
    """Appliances and bundles that several tests use.

    bundles: by version.
    one: an appliance where 1.0.0 is proven.
    two: 1.1.0 came after it and is watched.
    """

    folder: Path

    def bundle(self, version: str) -> Path:
        return self.folder / f"{version}.tar"


@pytest.fixture(scope="module")
def boxes(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Boxes:
    made = Boxes(tmp_path_factory.mktemp("boxes"))
    for seed, version in enumerate(VERSIONS):
        small.bundle(made.bundle(version), small.signing(keys), version=version, seed=seed)
    one, two = made.folder / "one", made.folder / "two"
    policy(one, seconds=0)
    deploy(made.bundle("1.0.0"), one, keys / "release.pub", tell)
    copy(one, two)
    policy(two)
    deploy(made.bundle("1.1.0"), two, None, tell)
    return made


@pytest.fixture
def one(boxes: Boxes, tmp_path: Path) -> Path:
    return copy(boxes.folder / "one", tmp_path / "box")


@pytest.fixture
def two(boxes: Boxes, tmp_path: Path) -> Path:
    return copy(boxes.folder / "two", tmp_path / "box")


def tell(stage: str, share: float) -> None:
    """Nobody listens."""


def copy(box: Path, to: Path) -> Path:
    """Copy an appliance with its hard links, which shutil.copytree would not keep."""
    subprocess.run(["cp", "-a", str(box), str(to)], check=True)
    return to


def policy(
    box: Path, *, seconds: float = 600, starts: int = 3, golden_seconds: float = 300
) -> None:
    """Write [watch]; by default the window does not end within a test."""
    box.mkdir(exist_ok=True)
    (box / "policy.toml").write_text(
        f"[watch]\nseconds = {seconds}\nstarts = {starts}\ngolden_seconds = {golden_seconds}\n"
    )


@contextmanager
def serving(box: Path, planted: Path | None = None) -> Iterator[Server]:
    """Run `edgekit serve`; what it says goes to serve.log beside the box.

    planted: holds a sitecustomize.py.
    """
    log = box.parent / "serve.log"
    command = [sys.executable, "-m", "edgekit", "serve", str(box), "--port", "0", "--json"]
    path = os.pathsep.join(
        filter(None, [str(planted) if planted else "", os.environ.get("PYTHONPATH", "")])
    )
    with log.open("a") as said:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    assert process.stdout
    try:
        lines = ""
        while not lines.endswith("}\n"):
            line = process.stdout.readline()
            assert line, log.read_text()
            lines += line
        yield Server(process, json.loads(lines)["port"], box)
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in log.read_text()


def pointer(box: Path) -> Pointer:
    """What `edgekit status` shows, at once."""
    found = Store(box).pointer("pumps")
    assert found
    return found


def serves(box: Path) -> str:
    """The version that the pointer names."""
    current = pointer(box).current
    return current.version if current else ""


def until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait; what takes longer takes for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def answering(server: Server) -> str:
    """The version that answers requests, "" while none does."""
    status, said = server.call("/v2/models/pumps")
    return str(said["versions"][0]) if status == 200 else ""


def workers(server: Server, version: str) -> list[psutil.Process]:
    """The processes that run a version, also one that is still loading."""
    store = Store(server.appliance)
    folders = {
        str(folder.resolve()) for _, slot, folder in store.named() if slot.version == version
    }
    found = []
    for child in psutil.Process(server.process.pid).children():
        try:
            if folders & set(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it went away
            continue
    return found


def kill_each(server: Server, version: str, *, once_it_answers: bool) -> int:
    """Kill every worker of a version until another version is current.

    Return how many there were.
    """
    killed: set[int] = set()

    def is_over() -> bool:
        if not once_it_answers or answering(server) == version:
            for process in workers(server, version):
                if process.pid not in killed:
                    process.kill()
                    killed.add(process.pid)
        return serves(server.appliance) != version

    until(is_over, f"{version} is given up")
    return len(killed)


def right(version: str) -> list[float]:
    """What a version says of the first golden sample."""
    logits = np.array(small.INPUTS[0]) @ small.weights(VERSIONS.index(version))
    return [float(value) for value in np.exp(logits) / np.exp(logits).sum()]


def infer(server: Server, row: object = small.INPUTS[0]) -> tuple[int, str, list[float]]:
    """Return status, version and probabilities of one request.

    (0, "", []) means that a client's patience is at an end.
    """
    tensor = {"name": "inputs", "shape": [1, 3], "datatype": "FP32", "data": row}
    try:
        status, answer = server.call("/v2/models/pumps/infer", {"inputs": [tensor]})
    except TimeoutError:
        return 0, "", []
    if status != 200:
        return status, "", []
    outputs = {item["name"]: item["data"] for item in answer["outputs"]}
    return status, answer["model_version"], outputs["probabilities"]


def test_a_healthy_version_is_proven_and_nobody_waits_for_it(one: Path, boxes: Boxes) -> None:
    policy(one, seconds=1)
    with serving(one) as server:
        deploy(boxes.bundle("1.1.0"), one, None, tell)
        said: list[tuple[int, str, list[float]]] = []

        def ask() -> str:
            said.append(infer(server))
            return said[-1][1]

        until(lambda: ask() == "1.1.0", "1.1.0 answers")
        assert pointer(one).is_watched
        until(lambda: ask() and not pointer(one).is_watched, "1.1.0 is proven")
    assert {status for status, _, _ in said} == {200}
    assert sorted({version for _, version, _ in said}) == ["1.0.0", "1.1.0"]
    assert [version for _, version, _ in said] == sorted(version for _, version, _ in said)
    assert all(np.allclose(row, right(version), atol=1e-5) for _, version, row in said)
    shown = edgekit("status", one, "--json").json["models"][0]
    assert shown["proven"] == shown["current"]
    assert shown["current"]["version"] == "1.1.0"
    assert "proven" in edgekit("status", one).out


def test_the_proven_slot_is_kept_through_gc_and_later_deploys(two: Path, boxes: Boxes) -> None:
    edgekit("gc", two)
    edgekit("deploy", boxes.bundle("1.2.0"), two)
    edgekit("gc", two)
    found = pointer(two)
    assert {role: slot.version for role, slot in found.slots().items()} == {
        "current": "1.2.0",
        "previous": "1.1.0",
        "proven": "1.0.0",
    }
    with serving(two) as server:
        assert kill_each(server, "1.2.0", once_it_answers=False) <= 3
        until(lambda: answering(server) == "1.0.0", "the proven version answers")
    assert serves(two) == "1.0.0"  # and not 1.1.0, which never proved itself


@pytest.mark.parametrize(
    "once_it_answers",
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["as it starts", "as it serves"],
)
def test_a_worker_that_keeps_dying_brings_the_version_before_back(
    two: Path, once_it_answers: bool
) -> None:
    with serving(two) as server:
        # The first worker answers before `serving` hands the server over, so it is among those that
        # are killed.
        assert kill_each(server, "1.1.0", once_it_answers=once_it_answers) == 3
        until(lambda: answering(server) == "1.0.0", "1.0.0 answers")
        after = (two / "models" / "pumps.json").read_bytes()
        for _ in range(4):  # more often than a new version may die
            [worker] = workers(server, "1.0.0")
            worker.kill()
            worker.wait(30)
            assert infer(server)[:2] == (200, "1.0.0")
        assert not workers(server, "1.1.0")
    shown = edgekit("status", two, "--json", code=6).json["models"][0]
    assert shown["given_up"]["slot"]["version"] == "1.1.0"
    how = (
        "was started 3 times in its watch window"
        if once_it_answers
        else "does not start: it crashed with SIGKILL"
    )
    assert how in shown["given_up"]["reason"]
    assert "1.1.0 (onnx-fp32) was given up: " in edgekit("status", two, code=6).out
    assert (two / "models" / "pumps.json").read_bytes() == after
    assert shown["previous"] is None  # `edgekit rollback` does not lead back to it


def test_the_starts_are_counted_through_reboots(two: Path) -> None:
    for _ in range(3):
        with serving(two) as server:
            assert answering(server) == "1.1.0"
            server.process.kill()  # a box that reboots in a loop
            server.process.wait()
            server.process.returncode = 0
    with serving(two) as server:
        assert answering(server) == "1.0.0"
    assert "started 3 times" in given_up(two)


def test_an_orderly_stop_says_nothing_against_a_model(two: Path) -> None:
    for _ in range(4):
        with serving(two) as server:
            assert answering(server) == "1.1.0"
    assert given_up(two) == ""


def given_up(box: Path) -> str:
    """Why the last slot was given up."""
    noted = pointer(box).given_up
    return noted.reason if noted else ""


def rot(box: Path) -> Path:
    """Flip a bit in the model that is current."""
    path = Store(box).serving("pumps").folder / "model.onnx"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("is_watched", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_slot_that_rots_gives_way_to_the_one_before(two: Path, is_watched: bool) -> None:
    if not is_watched:
        proven = msgspec.structs.replace(pointer(two), proven=pointer(two).current)
        Store(two).point(proven)
    rot(two)
    with serving(two) as server:
        status, version, row = infer(server)
        assert (status, version) == (200, "1.0.0")
        assert np.allclose(row, right("1.0.0"), atol=1e-5)
    assert given_up(two) == "onnx-fp32 1.1.0 does not start: its files are not what was deployed"


@pytest.mark.parametrize("is_watched", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_rotten_slot_with_nothing_before_is_one_clear_end(one: Path, is_watched: bool) -> None:
    if is_watched:
        Store(one).point(msgspec.structs.replace(pointer(one), proven=None))
    path = rot(one)
    ran = edgekit("serve", one, "--port", "0", code=1)
    worker, last = ran.err.splitlines()
    assert (
        worker == f"edgekit: error: {path}: changed since it was deployed; deploy the bundle again,"
        " or: edgekit rollback"
    )
    assert last == "Error: onnx-fp32 1.0.0 does not start: its files are not what was deployed"
    assert serves(one) == "1.0.0"


def test_a_deploy_at_work_delays_neither_commit_nor_rollback(two: Path) -> None:
    policy(two, seconds=1)
    with (two / "lock").open("r+") as lock, serving(two) as server:
        fcntl.flock(lock, fcntl.LOCK_EX)
        until(lambda: not pointer(two).is_watched, "1.1.0 is proven")
        edgekit("rollback", two)
        until(lambda: infer(server)[:2] == (200, "1.0.0"), "1.0.0 answers")


FAULT = """
import sys
if any("edgekit.edge.worker.process" in word for word in sys.orig_argv):
    import os, pathlib
    from edgekit.edge.model import health as golden
    slot = pathlib.Path(sys.orig_argv[-3]) / "slot.json"
    real, calls = golden.health_of, []
    def planted(model, samples):
        calls.append(1)
        if len(calls) > 1 and '"1.1.0"' in slot.read_text():
            {fault}
        return real(model, samples)
    golden.health_of = planted
"""


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("os.abort()", "started 3 times in its watch window"),
        pytest.param(
            "raise RuntimeError('PAYLOAD')",
            "the engine failed with RuntimeError",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["dies", "raises"],
)
def test_golden_samples_that_kill_in_the_window_do_not_end_the_watch(
    two: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    policy(two, seconds=0.2)
    (tmp_path / "sitecustomize.py").write_text(FAULT.format(fault=fault))
    with serving(two, tmp_path) as server:
        until(lambda: serves(two) == "1.0.0" and answering(server) == "1.0.0", "1.0.0 answers")
    assert reason in given_up(two)
    assert "PAYLOAD" not in (tmp_path / "serve.log").read_text()


@pytest.mark.slow
def test_a_worker_that_hangs_while_it_loads_is_given_up(two: Path, tmp_path: Path) -> None:
    policy(two, golden_seconds=4)
    (tmp_path / "sitecustomize.py").write_text(HANG)
    with serving(two, tmp_path) as server:
        assert answering(server) == "1.0.0"
    assert given_up(two) == "onnx-fp32 1.1.0 does not start: it took longer than 4 s"


def test_while_the_next_one_loads_the_one_before_goes_on_even_if_it_dies(
    one: Path, boxes: Boxes, tmp_path: Path
) -> None:
    policy(one)
    (tmp_path / "sitecustomize.py").write_text(HANG)
    with serving(one, tmp_path) as server:
        deploy(boxes.bundle("1.1.0"), one, None, tell)
        until(lambda: workers(server, "1.1.0"), "1.1.0 loads")
        [loading] = workers(server, "1.1.0")
        for _ in range(2):
            [worker] = workers(server, "1.0.0")
            worker.kill()
            worker.wait(30)
            until(
                lambda: answering(server) == "1.0.0" and workers(server, "1.0.0"),
                "1.0.0 answers again",
            )
            assert infer(server)[:2] == (200, "1.0.0")
        assert loading.is_running()
        assert serves(one) == "1.1.0"


@dataclass
class FakeWorker:
    """A worker that is as ill as a test wants it."""

    memory_bytes: int = 1
    start_memory_bytes: int = 1
    difference: float = 0.0
    median_ms: float = 1.0
    is_broken: bool = False
    kills: int = 0
    checks: int = 0
    is_too_large: bool = False

    def kill(self) -> None:
        self.kills += 1

    async def check(self) -> Checked | Unanswered:
        self.checks += 1
        if self.is_broken:
            problem = Problem(kind="EngineFailed", message="the engine failed")
            return Unanswered(id=0, problem=problem)
        health = Health(
            difference=self.difference, median_ms=self.median_ms, memory_bytes=self.memory_bytes
        )
        return Checked(id=0, health=health)


def look(window: Window, worker: FakeWorker) -> None:
    """Once, at a worker that serves, after its window's end."""
    asyncio.run(window.look_at(worker))
    time.sleep(0.02)
    asyncio.run(window.look_at(worker))


@pytest.fixture
def window(two: Path) -> Window:
    """Over as soon as it has begun."""
    policy(two, seconds=0.01)
    found = Window(Store(two), "pumps")
    found.starting()
    return found


@pytest.mark.parametrize(
    ("worker", "reason", "kills"),
    [
        (FakeWorker(difference=0.5), "answers the golden samples wrongly here", 1),
        (FakeWorker(difference=1e308), "answers the golden samples wrongly here", 1),
        (FakeWorker(is_broken=True), "the engine failed", 1),
        # its answers are right: it serves until 1.0.0 does
        (FakeWorker(median_ms=1e5), "is too slow here", 0),
    ],
    ids=["wrong", "NaN", "broken", "slow"],
)
def test_an_ill_worker_is_given_up(
    two: Path, window: Window, worker: FakeWorker, reason: str, kills: int
) -> None:
    asyncio.run(window.look_at(worker))
    assert (worker.checks, serves(two)) == (0, "1.1.0")
    time.sleep(0.02)
    asyncio.run(window.look_at(worker))
    assert serves(two) == "1.0.0"
    assert reason in given_up(two)
    assert worker.kills == kills


def test_a_well_worker_is_kept_and_asked_no_more(two: Path, window: Window) -> None:
    worker = FakeWorker()
    look(window, worker)
    assert not pointer(two).is_watched
    checks = worker.checks
    look(window, worker)
    assert worker.checks == checks == 1
    worker.memory_bytes = 1 << 40  # but its memory is looked at for ever
    look(window, worker)
    assert worker.kills == 2
    assert serves(two) == "1.1.0"


def an_hour_later(window: Window) -> None:
    window._since -= 3601
    window._checked -= 3601


def test_an_ill_worker_with_nothing_before_it_is_not_asked_each_second(one: Path) -> None:
    Store(one).point(msgspec.structs.replace(pointer(one), proven=None))
    policy(one, seconds=0.01)
    window, worker = Window(Store(one), "pumps"), FakeWorker(median_ms=1e5)
    for _ in range(5):
        look(window, worker)
    assert worker.checks == 1


def test_a_folder_that_can_t_be_written_is_said_once(
    two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that can't be written is named once.

    The writing itself is refused here, since nothing is read-only to root.
    """

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(two / "watch"))

    monkeypatch.setattr("edgekit.edge.appliance.pointers.write_durably", refuse)
    monkeypatch.setattr("edgekit.edge.appliance.watch_counts.write_durably", refuse)
    policy(two, seconds=0.01)
    window, worker = Window(Store(two), "pumps"), FakeWorker()
    for _ in range(3):
        window.starting()
        look(window, worker)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said  # of the starts, and of the end of the window
    assert all(
        "Permission denied" in line and f"must be able to write {two}" in line for line in said
    )
    assert worker.checks == 1


HANG = FAULT.replace("len(calls) > 1 and ", "").format(fault="import time; time.sleep(1e6)")


def test_a_stop_while_the_first_worker_loads_is_an_orderly_one(two: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANG)
    with (tmp_path / "log").open("w") as log:
        for number in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen(
                [sys.executable, "-m", "edgekit", "serve", str(two), "--port", "0"],
                stderr=log,
                stdout=log,
                env={**os.environ, "PYTHONPATH": str(tmp_path)},
            )
            slot = pointer(two).current
            assert slot
            until(lambda: Store(two).watched("pumps", slot).starts == 1, "it starts")  # noqa: B023
            time.sleep(0.5)
            process.send_signal(number)
            assert process.wait(20) == 0
            assert Store(two).watched("pumps", pointer(two).current).starts == 0  # type: ignore[arg-type]
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_rollback_holds_even_if_its_first_worker_is_killed(two: Path) -> None:
    with serving(two) as server:
        assert answering(server) == "1.1.0"
        edgekit("rollback", two)
        until(lambda: workers(server, "1.0.0"), "1.0.0 loads")
        workers(server, "1.0.0")[0].kill()
        until(lambda: answering(server) == "1.0.0", "1.0.0 answers")


def test_what_can_not_start_beside_another_gets_its_room(two: Path, tmp_path: Path) -> None:
    """1.0.0 dies while it loads as long as 1.1.0 is there."""
    fault = FAULT.replace("len(calls) > 1 and ", "").replace('"1.1.0"', '"1.0.0"')
    beside = "import psutil; len(psutil.Process().parent().children()) > 1 and os.abort()"
    (tmp_path / "sitecustomize.py").write_text(fault.format(fault=beside))
    with serving(two, tmp_path) as server:
        edgekit("rollback", two)
        until(lambda: answering(server) == "1.0.0", "1.0.0 answers")
    assert "1.1.0 makes room for 1.0.0" in (two.parent / "serve.log").read_text()


def test_a_model_that_is_uninstalled_answers_no_more_until_it_is_deployed_again(
    one: Path, boxes: Boxes
) -> None:
    with serving(one) as server:
        edgekit("uninstall", one, "pumps")
        until(lambda: not answering(server), "nothing answers")
        deploy(boxes.bundle("1.1.0"), one, None, tell)
        until(lambda: answering(server) == "1.1.0", "1.1.0 answers")
    assert (one.parent / "serve.log").read_text().count("is not in the store any more") == 1


def test_a_request_of_a_million_values_is_turned_away_and_kills_nobody(one: Path) -> None:
    with serving(one) as server:
        [before] = workers(server, "1.0.0")
        status, said = server.call("/v1/predict", b'{"inputs": [[' + b"[]," * (1 << 20) + b"[]]]}")
        assert (status, "at most 1048576 values" in said["error"]) == (413, True)
        assert infer(server)[:2] == (200, "1.0.0")
        assert workers(server, "1.0.0") == [before]


SLOW = """
import sys
if any("edgekit.edge.worker.process" in word for word in sys.orig_argv):
    import time
    from edgekit.edge.model.tensor_model import Model
    real = Model.attempt
    def slow(model, inputs):
        time.sleep(0.3)
        return real(model, inputs)
    Model.attempt = slow
elif "serve" in sys.orig_argv:
    from edgekit.edge.worker import handle
    handle.WAIT_SECONDS = 2.0
"""


def test_a_crowd_of_requests_kills_no_worker_and_an_orderly_stop_answers_them(
    one: Path, tmp_path: Path
) -> None:
    """Twenty requests of 0.3 s each, on one stream, while a request may take two seconds."""
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    with serving(one, tmp_path) as server, ThreadPoolExecutor(20) as clients:
        [before] = workers(server, "1.0.0")
        statuses = [status for status, *_ in clients.map(lambda _: infer(server), range(20))]
        assert {200, 503} == set(statuses)
        assert workers(server, "1.0.0") == [before]
        last = [clients.submit(infer, server) for _ in range(3)]
        time.sleep(0.2)
        server.process.terminate()
        assert [item.result()[0] for item in last] == [200] * 3


def test_the_window_starts_anew_with_each_worker(two: Path) -> None:
    policy(two, seconds=3600)
    window = Window(Store(two), "pumps")
    first, second = FakeWorker(), FakeWorker()
    look(window, first)
    an_hour_later(window)
    asyncio.run(window.look_at(second))
    assert pointer(two).is_watched
    an_hour_later(window)
    asyncio.run(window.look_at(second))
    assert not pointer(two).is_watched


def test_memory_that_grows_is_a_start_each_time(two: Path) -> None:
    policy(two, starts=2)
    window = Window(Store(two), "pumps")
    for _ in range(2):
        window.starting()
        leaking = FakeWorker(memory_bytes=1 << 40)
        asyncio.run(window.look_at(leaking))
        assert leaking.kills == 1
    assert serves(two) == "1.1.0"
    with pytest.raises(GivenUp, match="keeps dying"):
        window.starting()
    assert serves(two) == "1.0.0"


def test_a_version_that_was_given_up_has_all_its_starts_when_it_is_deployed_again(
    two: Path, boxes: Boxes
) -> None:
    policy(two, starts=1)
    window = Window(Store(two), "pumps")
    window.starting()
    assert window.failed("it does not load", is_unsound=False)
    assert (serves(two), given_up(two)) == ("1.0.0", "it does not load")
    deploy(boxes.bundle("1.1.0"), two, None, tell)
    again = Window(Store(two), "pumps")
    again.starting()
    assert (serves(two), again.is_open) == ("1.1.0", True)


def test_with_nothing_before_it_a_slot_is_not_given_up(one: Path) -> None:
    policy(one, starts=1)
    Store(one).point(msgspec.structs.replace(pointer(one), proven=None))
    window = Window(Store(one), "pumps")
    for _ in range(3):
        window.starting()
    assert not window.failed("it does not load", is_unsound=False)
    assert serves(one) == "1.0.0"
    assert "was started 1 times" in given_up(one)  # noted once: not anew at each look


@pytest.mark.parametrize("is_unsound", [True, False])
def test_a_damaged_pointer_ends_no_watch(two: Path, window: Window, is_unsound: bool) -> None:
    (two / "models" / "pumps.json").write_text("{")
    assert window.failed("it does not load", is_unsound=is_unsound) is not is_unsound


def test_while_the_lock_is_held_a_failed_slot_is_tried_again(two: Path, window: Window) -> None:
    with brief_lock(two / "models"):
        assert window.failed("rotten", is_unsound=True)
        assert serves(two) == "1.1.0"
    assert window.failed("rotten", is_unsound=True)
    assert serves(two) == "1.0.0"


def test_a_worker_s_end_is_said_in_words(two: Path, tmp_path: Path) -> None:
    """A signal by its name, as it stands in `edgekit status`."""
    policy(two, starts=1)
    fault = FAULT.replace("len(calls) > 1 and ", "").format(fault="os.kill(os.getpid(), 11)")
    (tmp_path / "sitecustomize.py").write_text(fault)
    with serving(two, tmp_path) as server:
        assert answering(server) == "1.0.0"
    assert given_up(two) == f"onnx-fp32 1.1.0 does not start: it crashed with {signal.SIGSEGV.name}"


def test_workers_that_do_not_live_are_started_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, slept = 1000.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr("edgekit.edge.serving.supervisor.asyncio.sleep", sleep)
    monkeypatch.setattr("edgekit.edge.serving.supervisor.time.monotonic", lambda: now)
    pauses = Pauses()
    for has_started in (True, False, False, True, True, True):
        asyncio.run(pauses.before_start())
        now += 30  # that loading takes
        if has_started:
            pauses.up()
            now += 1  # and then it dies
    now += 60  # the last one lived
    asyncio.run(pauses.before_start())
    assert slept == pytest.approx([0, 0.2, 0.4, 0.8, 1.6, 2, 0])
