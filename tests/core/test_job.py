"""A step in a process of its own: results, errors, crashes, Ctrl-C."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.errors import InputError, JobFailed
from edgekit.job import Progress, run_job
from tests.conftest import ROOT

pytestmark = pytest.mark.processes

HERE = "tests.core.test_job"


def double(request: dict[str, int], progress: Progress) -> int:
    progress("doubling", 0.5)
    print("noise on standard output")
    return 2 * request["value"]


def refuse(request: object, progress: Progress) -> None:
    raise InputError("row 3: no")


def break_down(request: object, progress: Progress) -> None:
    raise ValueError("first line\nsecond line")


def fill_disk(request: object, progress: Progress) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/some/file")


def crash(request: object, progress: Progress) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def vanish(request: object, progress: Progress) -> None:
    os._exit(3)


def linger(request: dict[str, str], progress: Progress) -> None:
    Path(request["mark"]).write_text(str(os.getpid()))
    time.sleep(60)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_result_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    result = run_job(
        f"{HERE}:double",
        {"value": 21},
        tmp_path / "log",
        lambda what, share: seen.append((what, share)),
    )
    assert result == 42
    assert seen == [("doubling", 0.5)]
    assert "noise" in (tmp_path / "log").read_text()


def test_our_errors_come_back_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 3: no"):
        run_job(f"{HERE}:refuse", {}, tmp_path / "log")


def test_foreign_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"^ValueError: first line; its output is in ") as caught:
        run_job(f"{HERE}:break_down", {}, tmp_path / "log")
    assert caught.value.signal is None
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_full_disk_is_not_the_jobs_fault(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        run_job(f"{HERE}:fill_disk", {}, tmp_path / "log")
    assert caught.value.errno == errno.ENOSPC


def test_a_crash_names_its_signal(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="crashed with SIGSEGV") as caught:
        run_job(f"{HERE}:crash", {}, tmp_path / "log")
    assert caught.value.signal == "SIGSEGV"


def test_a_silent_exit_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="exit code 3"):
        run_job(f"{HERE}:vanish", {}, tmp_path / "log")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_parent_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import pathlib; from edgekit.job import run_job; run_job('{HERE}:linger', {{'mark':"
        f" {str(mark)!r}}}, pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not mark.exists() or not mark.read_text():
        time.sleep(0.05)
    parent.send_signal(number)
    parent.wait()
    child = Path("/proc") / mark.read_text()
    for _ in range(100):
        if not child.exists() or "Z" in (child / "stat").read_text().split(")")[1][:3]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the job outlived its parent")
