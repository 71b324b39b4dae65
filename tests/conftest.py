"""What the tests share: a small real model, one real build of it, a bundle, an appliance.

Each is made once.
"""

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgekit import log

ROOT = Path(__file__).parents[1]
SPEC = """
[model]
name = "tiny"
version = "{version}"
source = "model"
task = "text-classification"

[data]
calibration = "calibration.csv"
evaluation = "evaluation.csv"

[limits]
max_accuracy_drop = 0.05
"""


def script(name: str) -> ModuleType:
    """Import a benchmark by its file's name: they are no package."""
    found = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Ran:
    """A command that has finished."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        """Standard output as JSON."""
        return json.loads(self.out)


def edgekit(
    *arguments: object, cwd: Path | None = None, code: int | None = 0, stdin: str = ""
) -> Ran:
    """Run the command line as a user does, and check its exit code (None: any).

    No traceback may be shown.
    """
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert code is None or done.returncode == code, (
        f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """Run the tests as if without colours, on a terminal 200 wide.

    Nothing under test may depend on the colours and the width of the terminal that runs the tests.
    """
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "200"}
    # A shell lets what it starts in the background ignore Ctrl-C; the commands under test must not
    # inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Fixtures that start processes: whoever asks for one is a test of processes.
STARTERS = {"appliance", "built", "bundle", "keys", "project", "server", "tiny"}
# The files that take longest, longest first: begun early, none keeps one process busy at the end.
LONG = ("test_specialists", "test_build", "test_docs", "test_examples", "test_bundle")


def _needs_build(item: pytest.Item) -> bool:
    return "built" in getattr(item, "fixturenames", ())


def _by_length(path: Path) -> int:
    return LONG.index(path.stem) if path.stem in LONG else len(LONG)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes through a fixture, or takes as long as if it did.

    The file with the first test on the great build comes first, and the others on it last:
    meanwhile nobody waits for that build.
    """
    by_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path, []).append(item)
    waiting = [path for path, found in by_file.items() if any(map(_needs_build, found))]
    others = sorted((path for path in by_file if path not in waiting), key=_by_length)
    later = sorted(waiting[1:], key=_by_length)
    items[:] = [item for path in waiting[:1] + others + later for item in by_file[path]]
    for item in items:
        if STARTERS & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("slow"):
            item.add_marker("processes")


@pytest.fixture(autouse=True)
def _talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log say everything: a test may look for a line that others have said before."""
    monkeypatch.setattr(log, "MOST_ALIKE", 1 << 30)


@pytest.fixture(autouse=True)
def _confined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no unit test start a process or open a socket, unless it is marked `processes`."""
    if request.node.get_closest_marker("processes"):
        return

    def refuse(what: str) -> Callable[..., Any]:
        def refused(*_: object, **__: object) -> None:
            pytest.fail(f"a test that is not marked `processes` {what}", pytrace=False)

        return refused

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse("starts a process"))
    monkeypatch.setattr(socket.socket, "connect", refuse("opens a connection"))
    monkeypatch.setattr(socket.socket, "bind", refuse("binds a socket"))


Make = Callable[[Path], None]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Make], Path]:
    """Make a folder once for all processes that share the tests (pytest-xdist).

    The first makes it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Make) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny(once: Callable[[str, Make], Path]) -> Path:
    """Make a folder with model/, calibration.csv, evaluation.csv and edgekit.toml.

    It is read only: copy it to change it.
    """

    def make(folder: Path) -> None:
        script = str(ROOT / "tests" / "tiny_bert.py")
        subprocess.run([sys.executable, script, str(folder)], check=True, capture_output=True)
        (folder / "edgekit.toml").write_text(SPEC.format(version="1.0.0"))

    return once("tiny", make)


@pytest.fixture
def project(tiny: Path, tmp_path: Path) -> Path:
    """A copy of `tiny` that a test may spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "project"))


def keep(project: Path, built: "Built", *names: str) -> None:
    """Copy what a build has kept, so that a build of the project need not make it again."""
    for name in names:
        shutil.copytree(built.folder / "cache" / name, project / "build" / "cache" / name)


@pytest.fixture
def warm_project(project: Path, built: "Built") -> Path:
    """Return `project` with the source inspected and the reference's answers kept already."""
    keep(project, built, "tasks", "references")
    return project


@pytest.fixture
def made_project(warm_project: Path, built: "Built") -> Path:
    """Return `warm_project` with every variant's files made already."""
    keep(warm_project, built, "artifacts")
    return warm_project


@pytest.fixture
def judged_project(made_project: Path, built: "Built") -> Path:
    """Return `made_project` with the answers of every variant measured already."""
    keep(made_project, built, "quality")
    return made_project


@dataclass(frozen=True)
class Built:
    """A build that has finished."""

    folder: Path
    result: dict[str, Any]

    def variant(self, name: str) -> dict[str, Any]:
        """One variant of the JSON that the build printed."""
        return next(item for item in self.result["variants"] if item["name"] == name)


@pytest.fixture(scope="session")
def built(tiny: Path, once: Callable[[str, Make], Path]) -> Built:
    """The tiny model through every recipe."""

    def make(folder: Path) -> None:
        ran = edgekit(
            "build", tiny / "edgekit.toml", "--quick", "--json", "--out", folder / "build"
        )
        (folder / "printed.json").write_text(ran.out)

    folder = once("built", make)
    return Built(folder / "build", json.loads((folder / "printed.json").read_text()))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with release.key, release.pub, other.key and other.pub."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("release", "other"):
        edgekit("keygen", folder / name, "--no-passphrase")
    return folder


@pytest.fixture(scope="session")
def bundle(built: Built, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle (a folder) of the ONNX int8 variant."""
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    pack(built, keys, out, "onnx-int8-dynamic")
    return out


def pack(built: Built, keys: Path, out: Path, variant: str) -> None:
    """Pack one variant of a build."""
    edgekit(
        "bundle",
        "pack",
        built.folder,
        "--key",
        keys / "release.key",
        "--variant",
        variant,
        "--out",
        out,
    )


@pytest.fixture
def appliance(bundle: Path, keys: Path, tmp_path: Path) -> Path:
    """An appliance folder that the bundle was deployed into."""
    folder = tmp_path / "appliance"
    edgekit("deploy", bundle, folder, "--trust", keys / "release.pub")
    return folder
