"""A fault at every system call that changes an appliance.

It holds the old model or the new one afterwards, and nobody mends it.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgekit.edge.appliance.maintenance import check_store
from edgekit.edge.appliance.store import Store
from edgekit.errors import Busy
from tests import small
from tests.conftest import ROOT, edgekit
from tests.faults import FAULTS, OPERATIONS, WRITES, bytes_written
from tests.faults import strace as tracer

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
Finding = dict[str, Any]
VERBS = [name for name, operation in OPERATIONS.items() if operation.words]


def can_cut_power() -> bool:
    """Root, with loop devices and mkfs.ext4."""
    tools = all(shutil.which(name) for name in ("mkfs.ext4", "mount", "umount", "unshare"))
    return tools and os.geteuid() == 0 and Path("/dev/loop-control").exists()


needs_power = pytest.mark.skipif(
    not can_cut_power(), reason="needs root, loop devices and mkfs.ext4"
)


@pytest.fixture(scope="module")
def scene(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles, keys, and appliances in the states that operations start from."""
    folder = tmp_path_factory.mktemp("scene")
    for number in (1, 2, 3):
        out = folder / f"{number}.tar"
        small.bundle(out, small.signing(keys), version=f"1.{number - 1}.0", seed=number)
    shutil.copy(keys / "release.pub", folder)
    root = ("--root", keys / "other.pub", "--root-key", keys / "other.key")
    edgekit("trust", "init", folder / "trust.json", *root, "--release", keys / "release.pub")
    (folder / "empty").mkdir()
    box = folder / "two" / "box"
    edgekit("deploy", folder / "1.tar", box, "--trust", keys / "release.pub")
    edgekit("deploy", folder / "2.tar", box)
    litter(shutil.copytree(folder / "two", folder / "littered") / "box")
    age(shutil.copytree(folder / "two", folder / "old") / "box")
    if can_cut_power():
        for state in ("empty", "two", "littered", "old"):
            image = folder / f"{state}.img"
            with image.open("wb") as file:
                file.truncate(64 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-d", folder / state, image], check=True)
    return folder


def litter(box: Path) -> None:
    """Leave what killed deploys leave."""
    slot = next((box / "slots" / "pumps").iterdir())
    shutil.copytree(slot, slot.with_name("0123456789abcdef"), copy_function=os.link)
    for number in range(3):
        (box / "blobs" / "sha256" / f"{number:064}").write_bytes(b"half a model")
    (box / "blobs" / "sha256" / ".copying.x").write_bytes(b"half a mo")


def age(box: Path) -> None:
    """Make an appliance what schema 1 left."""
    (box / "schema").write_text("1")
    path = box / "models" / "pumps.json"
    pointer = json.loads(path.read_text())
    known = ("model", "current", "previous")
    path.write_text(json.dumps({key: pointer[key] for key in known}))


def strike(scene: Path, *sweeps: tuple[object, ...]) -> list[Finding]:
    """Let workers (tests/faults.py) do sweeps, each given by its arguments; two at a time."""

    def swept(given: tuple[object, ...]) -> list[Finding]:
        # What is mounted in a namespace of its own goes away with the worker, however that ends.
        aside = ["unshare", "--mount"] if "cut" in str(given[1]) else []
        done = subprocess.run(
            [*aside, sys.executable, "-m", "tests.faults", str(scene), *map(str, given)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(2) as pool:
        return [finding for found in pool.map(swept, sweeps) for finding in found]


def told(what: str, found: list[Finding]) -> list[Finding]:
    """Print the figure; returns what went wrong."""
    bad = [finding for finding in found if finding["bad"]]
    counts = Counter(f"{finding['operation']} {finding['fault']}" for finding in found)
    print(f"{what}: {len(found):,} faults, {len(bad)} bad; {dict(counts)}")
    for finding in bad:
        print(json.dumps(finding))
    return bad


def test_a_sample_of_kills_and_errors_leaves_the_old_model_or_the_new_one(scene: Path) -> None:
    found = strike(
        scene,
        ("install", "kill", "--every", 25),
        ("deploy", "kill", "--every", 30),
        ("deploy", "full", "--every", 35),
        ("uninstall", "kill", "--every", 8),
        ("gc", "broken", "--every", 6),
        ("commit", "full"),
    )
    assert not told("a sample of kills and errors", found)
    assert len(found) >= 24


@needs_power
def test_a_sample_of_power_cuts_leaves_the_old_model_or_the_new_one(scene: Path) -> None:
    found = strike(scene, ("deploy", "cut-journal-noalloc", "--every", 35), ("rollback", "cut-all"))
    assert not told("a sample of power cuts", found)
    assert len(found) >= 10


@needs_power
def test_a_deploy_that_forgets_to_sync_is_found_out(scene: Path) -> None:
    """The power cuts do cut: without fsync the same sweep finds pointers of zero length."""
    found = strike(scene, ("commit", "cut-journal-noalloc", "--careless"))
    assert told("a commit without fsync", found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["kill", "full", "broken", "unreadable"])
def test_every_kill_and_error_leaves_the_old_model_or_the_new_one(scene: Path, fault: str) -> None:
    found = strike(scene, *((operation, fault) for operation in OPERATIONS))
    assert not told(f"every {fault}", found)
    assert len(found) >= 250


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_kill_of_the_whole_command_leaves_the_old_model_or_the_new_one(scene: Path) -> None:
    """The command runs as a user runs it, from the first instruction of the interpreter on."""
    found = strike(scene, *((operation, "kill", "--whole", "--every", 4) for operation in VERBS))
    assert not told("kills of whole commands", found)
    assert len(found) >= 60


@needs_power
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_power_cut_leaves_the_old_model_or_the_new_one(scene: Path) -> None:
    cuts = [fault for fault in FAULTS if fault.startswith("cut")]
    found = strike(scene, *((operation, fault) for operation in OPERATIONS for fault in cuts))
    assert not told("power cuts", found)
    assert len(found) >= 1000


@needs_power
def test_a_full_disk_stops_a_deploy_and_nothing_else(scene: Path, tmp_path: Path) -> None:
    """A disk without one free block stops a deploy and nothing else.

    What serves goes on, what frees the disk works, and so does the way back.
    """
    image, disk = tmp_path / "image", tmp_path / "disk"
    shutil.copy(scene / "two.img", image)
    disk.mkdir()
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        fill(disk / "filler")
        ran = edgekit("deploy", scene / "3.tar", disk / "box", code=2)
        assert "are to stay free" in ran.err
        assert serving(disk / "box") == "1.1.0"
        edgekit("gc", disk / "box")
        edgekit("rollback", disk / "box")
        assert serving(disk / "box") == "1.0.0"
        edgekit("uninstall", disk / "box", "pumps")
        assert not list((disk / "box" / "blobs" / "sha256").iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(path: Path) -> None:
    """Write until nothing more goes in, in ever smaller pieces."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (1 << 20, 1 << 10, 1):
        with contextlib.suppress(OSError):
            while os.write(handle, bytes(size)) == size:
                pass
    os.fsync(handle)
    os.close(handle)


def serving(box: Path) -> str:
    """The version, after every file of every slot was hashed again."""
    store = Store(box)
    assert not check_store(store).rotten
    return store.serving("pumps").slot.version


@pytest.fixture(scope="module")
def equals(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three bundles of one release counter, so that none is older than another."""
    folder = tmp_path_factory.mktemp("equals")
    by = small.signing(keys, counter=1 << 40)
    return [
        small.bundle(folder / f"{name}.tar", by, version=f"2.0.0-{name}", seed=number)
        for number, name in enumerate("abc")
    ]


class Contest:
    """Deploys into one appliance at once; what became of each."""

    def __init__(self, box: Path, bundles: list[Path], rng: random.Random) -> None:
        self.box, self._rng = box, rng
        self._versions = [f"2.0.0-{bundle.stem}" for bundle in bundles]
        self._running = [self._started(bundle) for bundle in bundles]

    def _started(self, bundle: Path) -> "subprocess.Popen[str]":
        time.sleep(self._rng.choice([0, 0, self._rng.uniform(0, 0.6)]))
        words = [sys.executable, "-m", "edgekit", "deploy", str(bundle), str(self.box)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def kill_one(self) -> None:
        """Kill one of the processes at any time of its work."""
        time.sleep(self._rng.uniform(0.2, 0.8))
        self._rng.choice(self._running).kill()

    def end(self) -> tuple[list[int], set[str]]:
        """The exit codes, and the versions that may serve now."""
        said = [process.communicate()[1] for process in self._running]
        codes = [process.returncode for process in self._running]
        known = {str(process.pid) for process in self._running}
        for code, text in zip(codes, said, strict=True):
            assert code in {0, Busy.exit_code, -signal.SIGKILL}, text
            if code == Busy.exit_code:
                named = re.search(r"edgekit deploy \(process (\d+)\) is at work here", text)
                assert (named and named[1] in known) or "another process" in text, text
        done = zip(self._versions, codes, strict=True)
        return codes, {version for version, code in done if code in {0, -signal.SIGKILL}}


def contests(scene: Path, folder: Path, bundles: list[Path], rounds: int) -> Counter[str]:
    """Let two or three deploy at once, in every third round one of them killed.

    Raises if there is no one winner.
    """
    rng, count = random.Random(0), Counter[str]()
    for number in range(rounds):
        box = folder / str(number)
        subprocess.run(["cp", "-a", scene / "two" / "box", box], check=True)
        contest = Contest(box, rng.sample(bundles, 3 if number % 3 == 2 else 2), rng)
        is_killed = number % 3 == 1
        if is_killed:
            contest.kill_one()
        codes, may_serve = contest.end()
        assert 0 in codes or is_killed, codes
        assert serving(box) in may_serve | ({"1.1.0"} if is_killed and 0 not in codes else set())
        edgekit("deploy", bundles[0], box)  # at once, whoever was killed
        assert serving(box) == "2.0.0-a"
        count["rounds"] += 1
        count["turned away"] += codes.count(Busy.exit_code)
        count["killed"] += codes.count(-signal.SIGKILL)
        count["one after the other"] += codes.count(0) > 1
        shutil.rmtree(box)
    return count


def test_of_deploys_at_once_one_wins(scene: Path, equals: list[Path], tmp_path: Path) -> None:
    count = contests(scene, tmp_path, equals, 3)  # a pair, a pair of which one is killed, three
    print(f"deploys at once, one winner each: {dict(count)}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_of_deploys_at_once_one_wins_150_times(
    scene: Path, equals: list[Path], tmp_path: Path
) -> None:
    count = contests(scene, tmp_path, equals, 150)
    print(f"deploys at once, one winner each: {dict(count)}")
    assert count["turned away"] > 75
    assert count["killed"] > 20


def traced_deploy(bundle: Path, box: Path, *more: object) -> int:
    """The bytes that the deploying process writes below the appliance folder."""
    log = box.parent / "trace"
    words = [sys.executable, "-m", "edgekit", "deploy", *map(str, (bundle, box, *more))]
    subprocess.run([*tracer(log, WRITES, ""), *words], check=True, capture_output=True)
    return bytes_written(log.read_text().splitlines(), box.parent)


def test_redeploying_with_one_layer_changed_writes_little_more_than_that_layer(
    keys: Path, tmp_path: Path
) -> None:
    """An 8 MB layer stays, one of 300 KB changes."""
    rng = random.Random(0)
    stays, sizes = rng.randbytes(8_000_000), []
    bundles = []
    for version in ("1.0.0", "1.1.0"):
        changes = rng.randbytes(300_000)

        def spoil(files: Path, changes: bytes = changes) -> None:
            (files / "large.bin").write_bytes(stays)
            (files / "small.bin").write_bytes(changes)

        out = tmp_path / f"{version}.tar"
        bundles.append(small.bundle(out, small.signing(keys), version=version, spoil=spoil))
        sizes.append(out.stat().st_size)
    box = tmp_path / "appliance" / "box"
    box.parent.mkdir()
    first = traced_deploy(bundles[0], box, "--trust", keys / "release.pub")
    assert first > 8_300_000  # so the meter counts
    again = traced_deploy(bundles[1], box)
    print(
        f"redeployed a bundle of {sizes[1]:,} bytes with 300,000 changed: {again:,} bytes were"
        " written"
    )
    assert 300_000 < again <= 300_000 + (64 << 10)
