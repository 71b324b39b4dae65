"""The store: upkeep, an older schema, several models, and clocks that are wrong."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgekit.edge.appliance.store import Store
from edgekit.errors import Busy
from edgekit.locks import lock
from tests import small
from tests.conftest import edgekit


@pytest.fixture
def box(keys: Path, tmp_path: Path) -> Path:
    """An appliance with pumps 1.0.0 and, serving, 1.1.0."""
    folder = tmp_path / "box"
    for version, seed in (("1.0.0", 0), ("1.1.0", 1)):
        bundle = small.bundle(
            tmp_path / f"{version}.tar", small.signing(keys), version=version, seed=seed
        )
        edgekit("deploy", bundle, folder, "--trust", keys / "release.pub")
    return folder


def rot(box: Path, version: str) -> Path:
    """Flip a bit of a version's model."""
    store = Store(box)
    slot = next(slot for _, slot, _ in store.named() if slot.version == version)
    path = store.slot_folder("pumps", slot) / "model.onnx"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return path


def serving(box: Path) -> str:
    return Store(box).serving("pumps").slot.version


def test_fsck_of_a_sound_store(box: Path) -> None:
    found = edgekit("fsck", box, "--json").json
    assert (found["rotten"], found["fell_back"]) == ([], {})
    assert found["files"] == len(list((box / "blobs" / "sha256").iterdir()))
    assert "0 rotten" in edgekit("fsck", box).out


def test_fsck_falls_back_where_the_current_slot_has_rotted(box: Path, tmp_path: Path) -> None:
    path = rot(box, "1.1.0")
    ran = edgekit("fsck", box, code=5)
    assert f"rotten: {path}" in ran.out
    assert "pumps: back to 1.0.0" in ran.out
    assert serving(box) == "1.0.0"
    edgekit("predict", box, "[1, 2, 3]")
    assert "changed since it was deployed" in edgekit("status", box, code=6).out
    edgekit("fsck", box)  # what is given up is no slot of the model any more
    edgekit("deploy", tmp_path / "1.1.0.tar", box)
    edgekit("fsck", box)
    assert serving(box) == "1.1.0"


def test_fsck_says_so_where_nothing_is_left_to_fall_back_on(box: Path, tmp_path: Path) -> None:
    rot(box, "1.0.0")
    assert edgekit("fsck", box, "--json", code=5).json["rotten"][0]["role"] == "previous"
    assert "changed since it was deployed" in edgekit("rollback", box, code=2).err
    rot(box, "1.1.0")
    found = edgekit("fsck", box, "--json", code=5).json
    assert [item["role"] for item in found["rotten"]] == ["current", "previous"]
    assert found["fell_back"] == {}
    edgekit("deploy", tmp_path / "1.1.0.tar", box)
    edgekit("predict", box, "[1, 2, 3]")


def test_gc_and_uninstall(box: Path, keys: Path, tmp_path: Path) -> None:
    assert edgekit("gc", box, "--json").json == {"freed_bytes": 0}
    edgekit(
        "deploy", small.bundle(tmp_path / "fans.tar", small.signing(keys), name="fans", seed=2), box
    )
    assert edgekit("uninstall", box, "pumps", "--json").json["freed_bytes"] > 0
    assert Store(box).pointers.models() == ["fans"]
    edgekit("fsck", box)
    edgekit("predict", box, "[1, 2, 3]")
    assert "holds no model 'pumps'" in edgekit("uninstall", box, "pumps", code=2).err


def test_an_older_store_is_brought_up_to_date(box: Path, keys: Path, tmp_path: Path) -> None:
    """Schema 1 had neither counters nor a proven slot.

    What reads it works at once; what changes it upgrades it.
    """
    (box / "schema").write_text("1")
    (box / "counters.json").unlink()
    shutil.rmtree(box / "watch")
    pointer = json.loads((box / "models" / "pumps.json").read_text())
    old = {
        key: {name: value for name, value in pointer[key].items() if name != "counter"}
        for key in ("current", "previous")
    }
    (box / "models" / "pumps.json").write_text(json.dumps({"model": "pumps", **old}))
    assert "1.1.0" in edgekit("status", box).out
    edgekit("predict", box, "[1, 2, 3]")
    assert (box / "schema").read_text() == "1"
    edgekit("rollback", box)
    assert (box / "schema").read_text() == "2"
    assert serving(box) == "1.0.0"
    edgekit(
        "deploy",
        small.bundle(tmp_path / "2.tar", small.signing(keys), version="2.0.0", seed=2),
        box,
    )
    edgekit("fsck", box)


def test_a_newer_store_is_left_alone(box: Path) -> None:
    (box / "schema").write_text("3")
    for verb in ("status", "gc", "fsck", "rollback"):
        assert "update edgekit" in edgekit(verb, box, code=2).err


CLOCKS = [
    "1970-01-02 00:00:00",
    "1999-12-31 23:59:59",
    "2038-01-19 03:14:08",
    "2100-01-01 00:00:00",
]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_wrong_clock_refuses_nothing_and_stops_nothing(
    clock: str, keys: Path, tmp_path: Path
) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime (a Debian package)")
    box, trust = tmp_path / "box", tmp_path / "trust.json"
    keyring = (
        "--root",
        keys / "other.pub",
        "--release",
        keys / "release.pub",
        "--root-key",
        keys / "other.key",
    )
    edgekit("trust", "init", trust, *keyring)
    first = small.bundle(tmp_path / "1.tar", small.signing(keys))
    second = small.bundle(tmp_path / "2.tar", small.signing(keys), version="1.1.0", seed=1)
    commands: list[tuple[object, ...]] = [
        ("deploy", first, box, "--trust", trust),
        ("deploy", second, box),
        ("predict", box, "[1, 2, 3]"),
        ("rollback", box),
        ("trust", "install", trust, box),
        ("fsck", box),
        ("gc", box),
        ("status", box),
    ]
    for command in commands:
        done = subprocess.run(
            ["faketime", clock, sys.executable, "-m", "edgekit", *map(str, command)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command[0]} at {clock}: {done.stderr}"
    assert "was deployed here before" not in edgekit("deploy", second, box).err


@pytest.mark.processes
def test_a_lock_that_a_killed_process_passed_on_is_waited_for(tmp_path: Path) -> None:
    """A process killed between fork and exec leaves its lock to the child for a moment."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    path = tmp_path / "lock"
    path.write_text(f"edgekit deploy (process {process.pid})")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(Busy, match=rf"edgekit deploy \(process {process.pid}\) is at work"),
            lock(path, "x"),
        ):
            pass
        passing = threading.Timer(0.3, lambda: fcntl.flock(file, fcntl.LOCK_UN))
        passing.start()
        with lock(path, "edgekit gc"):
            assert path.read_text() == f"edgekit gc (process {os.getpid()})"
        passing.join()
    assert not path.read_text()
