"""Faults at exact system calls: kill, power cut, full disk, broken disk.

    python -m tests.faults SCENE OPERATION FAULT [--every 7] [--whole] [--careless]

This is the worker behind test_faults.py. A scene is a folder that test_faults.py makes: bundles,
keys, and appliances in the states that operations start from. The worker imports edgekit once and
forks a child for each run, so that a run costs what the command costs and not the start of an
interpreter. The child runs the real command line, golden samples in a process of their own
included, on a real file system; nothing is replaced. (--whole: `python -m edgekit` from its first
instruction.) strace is attached to it and does the harm at the Nth call of a kind: SIGKILL or an
error. One run without harm tells which calls there are; only those that change something below the
appliance folder count.

A power cut is that kill, and then at once ext4's shutdown ioctl on a loop file: what is not on the
disk is lost (with flag 1 the journal still gets there and the data don't, with 2 neither does). It
is mounted again and looked at.

One JSON object a line for each run: "bad" says what is wrong, or is null.
"""

import argparse
import fcntl
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from edgekit import cli
from edgekit.edge.appliance import maintenance
from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import give_up, prove, rot_of
from edgekit.edge.verbs import deploy, fsck, gc, rollback, trust, uninstall
from edgekit.errors import EdgekitError, InputError

# So that no child imports them.
PRELOADED = (maintenance, deploy, fsck, gc, rollback, trust, uninstall)
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
WRITES = ("write", "writev", "pwrite64", "copy_file_range", "sendfile")
OPENS = ("open", "openat", "creat")
CHANGES = (
    *OPENS,
    *WRITES,
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "truncate",
    "ftruncate",
    "fallocate",
)
READS = (*OPENS, "read", "pread64", "getdents64", "flock")
CLEANING = ("unlink", "unlinkat", "rmdir")  # where a failure may be passed over


class Fault(NamedTuple):
    """A fault, as strace makes it happen.

    inject: what strace does.
    flag: of the power cut after it, 0 for none.
    options: of the mount before it.
    calls: the system calls that it is done to.
    """

    inject: str
    flag: int = 0
    options: str = "defaults"
    calls: tuple[str, ...] = CHANGES

    @property
    def is_deadly(self) -> bool:
        """True where the process does not outlive it."""
        return self.inject.startswith("signal")


KILL = "signal=SIGKILL"
FAULTS = {
    "kill": Fault(KILL),
    "cut-journal": Fault(KILL, 1),
    "cut-all": Fault(KILL, 2),
    "cut-journal-noalloc": Fault(KILL, 1, "noauto_da_alloc"),
    "cut-all-noalloc": Fault(KILL, 2, "noauto_da_alloc"),
    "full": Fault("error=ENOSPC"),
    "broken": Fault("error=EIO"),
    "unreadable": Fault("error=EIO", calls=READS),
}


class Operation(NamedTuple):
    """An operation on an appliance.

    before: the state of the appliance.
    words: of the command line; "" where there is no verb.
    function: a function of ours instead.
    is_toggle: whether to run it again undoes it.
    collects: whether nothing lies about afterwards that no pointer names.
    """

    before: str
    words: str = ""
    function: Callable[[Store], object] | None = None
    is_toggle: bool = False
    collects: bool = False


def _prove(store: Store) -> None:
    prove(store, "pumps", store.serving("pumps").slot)


def _give_up(store: Store) -> None:
    """Give up 1.1.0 as the server does; a second run finds 1.0.0 and must leave that alone."""
    serving = store.serving("pumps").slot
    if serving.version == "1.1.0":
        give_up(store, "pumps", serving, "it keeps dying")


OPERATIONS = {
    "install": Operation(
        "empty", "deploy {scene}/1.tar {box} --trust {scene}/release.pub", collects=True
    ),
    "deploy": Operation("two", "deploy {scene}/3.tar {box}", collects=True),
    "commit": Operation("two", function=_prove),
    "fall-back": Operation("two", function=_give_up),
    "rollback": Operation("two", "rollback {box}", is_toggle=True),
    "gc": Operation("littered", "gc {box}", collects=True),
    "uninstall": Operation("two", "uninstall {box} pumps", collects=True),
    "trust": Operation("two", "trust install {scene}/trust.json {box}"),
    "upgrade": Operation("old", "gc {box}", collects=True),
}


class Point(NamedTuple):
    """The Nth system call of a kind.

    call: its name; "" for the end, after the last one.
    number: N.
    line: the call as strace shows it.
    before: the line of the call before it that changed something.
    """

    call: str
    number: int
    line: str
    before: str = ""


class Ended(NamedTuple):
    """How a run ended: `status` as of os.waitstatus_to_exitcode."""

    status: int
    said: str
    trace: list[str]


class State(NamedTuple):
    """The state of an appliance, as far as it decides anything."""

    pointers: dict[str, Any]
    counters: dict[str, dict[str, int]]
    trust: tuple[Any, ...]


def command(operation: Operation, scene: Path, box: Path) -> list[str]:
    """The words of the command line."""
    return [word.format(scene=scene, box=box) for word in operation.words.split()]


def _run_child(operation: Operation, scene: Path, box: Path) -> None:
    if operation.function is None:
        sys.argv = ["edgekit", *command(operation, scene, box)]
        cli.main()
    try:
        operation.function(Store(box))
    except (EdgekitError, OSError) as error:  # what the server's loop catches
        raise SystemExit(f"Error: {error}") from None


def _child(run: Callable[[], None], said: Path, gate: int) -> NoReturn:
    """Wait at the gate until strace is attached, run, and leave without a word of Python's own."""
    code = 70
    try:
        select.select([gate], [], [])  # no read: it would count
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def strace(log: Path, calls: Sequence[str], inject: str) -> list[str]:
    """The command up to what is to be traced."""
    names = ",".join(f"?{call}" for call in calls)  # "?": not every architecture has them all
    harm = ["-e", f"inject={inject}"] if inject else []
    return [
        "strace",
        "-y",
        "-s",
        "0",
        "-e",
        "signal=none",
        "-e",
        f"trace={names}",
        *harm,
        "-o",
        str(log),
    ]


class Bench:
    """A worker's own folder, in which the appliance lies.

    `disk` holds the appliance, as a plain folder or with a file system mounted on it.
    """

    def __init__(
        self, scene: Path, name: str, *, is_whole: bool = False, is_careless: bool = False
    ) -> None:
        self.scene, self.folder = scene, scene / name
        self.is_whole, self.is_careless = is_whole, is_careless
        self.disk, self.image = self.folder / "disk", self.folder / "image"
        self.box = self.disk / "box"
        (self.folder / "tmp").mkdir(parents=True)
        os.environ["TMPDIR"] = str(self.folder / "tmp")

    @contextmanager
    def appliance(self, state: str, fault: Fault) -> Iterator[None]:
        """A fresh one in this state."""
        if not fault.flag:
            subprocess.run(["cp", "-a", self.scene / state, self.disk], check=True)
            try:
                yield
            finally:
                shutil.rmtree(self.disk)
            return
        subprocess.run(
            ["cp", "--sparse=always", self.scene / f"{state}.img", self.image], check=True
        )
        self.disk.mkdir(exist_ok=True)
        self.mount(fault.options)
        try:
            yield
        finally:
            self.unmount()

    def mount(self, options: str) -> None:
        """Mount the image, in a mount namespace of our own if whoever started us cared for that."""
        subprocess.run(["mount", "-o", f"loop,{options}", self.image, self.disk], check=True)

    def unmount(self) -> None:
        """A golden check whose parent was killed may still be dying."""
        for _ in range(500):
            if (
                subprocess.run(["umount", self.disk], check=False, capture_output=True).returncode
                == 0
            ):
                return
            time.sleep(0.01)
        raise SystemExit(f"{self.disk}: can't be unmounted")

    def cut_power(self, flag: int) -> None:
        """Cut the power, and switch it on again."""
        handle = os.open(self.disk, os.O_RDONLY)
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", flag))
        os.close(handle)
        self.unmount()
        self.mount("defaults")

    def run(self, operation: Operation, inject: str = "", calls: Sequence[str] = CHANGES) -> Ended:
        """Run an operation under strace, in a child of ours or in an interpreter of its own."""
        log, said = self.folder / "trace", self.folder / "said"
        tracer = strace(log, calls, inject)
        said.unlink(missing_ok=True)
        status = (
            self._whole(operation, tracer, said)
            if self.is_whole
            else self._forked(operation, tracer, said)
        )
        text = said.read_text() if said.exists() else ""
        return Ended(status, text, log.read_text().splitlines())

    def _whole(self, operation: Operation, tracer: list[str], said: Path) -> int:
        words = [sys.executable, "-m", "edgekit", *command(operation, self.scene, self.box)]
        with said.open("w") as output:
            return subprocess.run(
                [*tracer, *words], stdout=output, stderr=output, check=False
            ).returncode

    def _forked(self, operation: Operation, tracer: list[str], said: Path) -> int:
        gate, opener = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(opener)
            if self.is_careless:
                os.fsync = lambda fd: None
            _child(lambda: _run_child(operation, self.scene, self.box), said, gate)
        os.close(gate)
        with subprocess.Popen(
            [*tracer, "-p", str(child)], stderr=subprocess.PIPE, text=True
        ) as attached:
            assert attached.stderr
            first = attached.stderr.readline()
            os.close(opener)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if "attached" not in first:
            raise SystemExit(f"strace: {first}")
        return status

    def points(self, trace: Sequence[str], calls: Sequence[str] = CHANGES) -> list[Point]:
        """The calls of a trace that are about the appliance, and the end."""
        seen: Counter[str] = Counter()
        found: list[Point] = []
        for line in trace:
            call = line.split("(")[0]
            seen[call] += 1
            if (
                call in calls
                and touches(line, self.disk)
                and (calls is READS or changes(call, line))
            ):
                before = found[-1].line if found else ""
                found.append(Point(call, seen[call], line, before))
        return found

    def state(self) -> State:
        """Read the state of the appliance; every slot that a pointer names must be sound.

        Whatever is read here must be readable after any fault.
        """
        if not (self.box / "schema").exists():
            return State({}, {}, (None, []))
        store = Store(self.box)
        store.check()
        pointers = {model: store.pointer(model) for model in store.pointers.models()}
        for pointer, slot, folder in store.named():
            if path := rot_of(folder, slot):
                raise InputError(f"{path}: rotten in {pointer.model} {slot.version}")
        trust, counters = store.trusted.trust(), self.box / "counters.json"
        return State(
            pointers,
            json.loads(counters.read_text()) if counters.exists() else {},
            (trust.version, sorted(trust.key_ids)),
        )

    def litter(self, operation: Operation) -> list[str]:
        """Return what should have been tidied away."""
        found = list(self.box.rglob(".*"))
        if operation.collects:
            kept = {folder for _, _, folder in Store(self.box).named()}
            found += [folder for folder in (self.box / "slots").glob("*/*") if folder not in kept]
            blobs = (self.box / "blobs" / "sha256").iterdir()
            found += [path for path in blobs if path.stat().st_nlink == 1]
        return [str(path.relative_to(self.box)) for path in found]


def touches(line: str, disk: Path) -> bool:
    """Tell whether a call is about something below `disk`.

    What it writes may hold the path as well, and does not count.
    """
    call, _, rest = line.partition("(")
    about = (
        rest.split(",")[0]
        if call in WRITES and call not in {"copy_file_range", "sendfile"}
        else rest
    )
    return f"{disk}/" in about


def changes(call: str, line: str) -> bool:
    return call not in OPENS or re.search(r"O_CREAT|O_TRUNC", line) is not None


def bytes_written(trace: Sequence[str], disk: Path) -> int:
    """Return the bytes that the traced process wrote to files below `disk`."""
    ends = (
        line.rsplit("= ", 1)[1]
        for line in trace
        if line.split("(")[0] in WRITES and touches(line, disk)
    )
    return sum(int(end.split()[0]) for end in ends)


def judged(
    bench: Bench, fault: Fault, point: Point, ended: Ended, old: State, new: State
) -> str | None:
    """Return what is wrong after a fault, None where nothing is."""
    if wrong := _wrong_end(fault, point, ended):
        return wrong
    found = bench.state()
    if ended.status == 0 and found != new:
        return f"said that it was done, and is not: {found}"
    return _wrong_state(found, old, new)


def _wrong_state(found: State, old: State, new: State) -> str | None:
    if found.pointers not in (old.pointers, new.pointers):
        return f"neither old nor new: {found.pointers}"
    if found.trust not in (old.trust, new.trust):
        return f"trusts neither as before nor as after: {found.trust}"
    if fallen := [key for key, value in _flat(old).items() if _flat(found).get(key, 0) < value]:
        return f"counters fell: {fallen}"
    for pointer in found.pointers.values():
        if pointer.current and pointer.current.counter > max(
            found.counters[pointer.model].values()
        ):
            return (
                f"serves release {pointer.current.counter}, which is not counted: {found.counters}"
            )
    return None


def _wrong_end(fault: Fault, point: Point, ended: Ended) -> str | None:
    if point.call and fault.is_deadly:
        last = next(line for line in reversed(ended.trace) if not line.startswith("+++"))
        is_hit = last.startswith(f"{point.call}(") and last.endswith("= ?")
        said = f"was not killed there: {ended.status}, {last}, {ended.said}"
        return None if is_hit and ended.status == -signal.SIGKILL else said
    if point.call and not any("(INJECTED)" in line for line in ended.trace):
        return "the error did not happen"
    if "Traceback" in ended.said or "mistake in edgekit" in ended.said:
        return f"no clean error: {ended.said[-600:]}"
    if ended.status != 0 and not ended.said.strip():
        return f"exit code {ended.status} without a word"
    if (
        ended.status == 0
        and point.call
        and fault.calls is CHANGES
        and not _may_be_passed_over(fault, point)
    ):
        return "the error was passed over"
    return None


def _may_be_passed_over(fault: Fault, point: Point) -> bool:
    """Tell whether an error at a call may be passed over.

    That is so for tidying up; the name of who holds the lock, a courtesy; the reserve; a pointer
    for which the reserve made room.
    """
    is_name = point.call in {"write", "ftruncate"} and "/lock>" in point.line
    is_reserve = (
        re.search(r"box/\.?reserve", point.line + point.before * (point.call == "fsync"))
        is not None
    )
    has_room = fault is FAULTS["full"] and "box/models" in point.line
    return is_name or is_reserve or has_room or point.call in CLEANING


def _flat(state: State) -> dict[tuple[str, str], int]:
    return {
        (model, key): value
        for model, known in state.counters.items()
        for key, value in known.items()
    }


def finished(bench: Bench, operation: Operation, new: State) -> str | None:
    """Run it again, unless that would undo it: what is wrong then, or None."""
    done = bench.state().pointers == new.pointers
    if not (operation.is_toggle and done):
        again = bench.run(operation)
        gone = done and not new.pointers  # uninstalled: there is no such model
        if again.status not in ((0, InputError.exit_code) if gone else (0,)):
            return f"run again, it ended with {again.status}: {again.said[-600:]}"
    if bench.state() != new:
        return f"run again, it left {bench.state()}"
    if not (operation.is_toggle and done) and (litter := bench.litter(operation)):
        return f"run again, it left {litter}"
    return None


def strike(
    bench: Bench, operation: Operation, fault: Fault, point: Point, old: State, new: State
) -> str | None:
    """Strike a fresh appliance with one fault; say what is wrong afterwards, or return None."""
    with bench.appliance(operation.before, fault):
        inject = f"{point.call}:{fault.inject}:when={point.number}" if point.call else ""
        ended = bench.run(operation, inject, fault.calls)
        try:
            if fault.flag:
                bench.cut_power(fault.flag)
            return judged(bench, fault, point, ended, old, new) or finished(bench, operation, new)
        except (EdgekitError, OSError, KeyError, ValueError) as error:
            return f"{type(error).__name__}: {error}"


def sweep(bench: Bench, name: str, kind: str, every: int) -> None:
    """Strike at every call, or at every so-manyth; print one line for each."""
    operation, fault = OPERATIONS[name], FAULTS[kind]
    # Twice: what the first run makes the worker import, or look up, is not in the second one's
    # trace.
    for _ in range(2):
        with bench.appliance(operation.before, fault):
            old = bench.state()
            clean = bench.run(operation, calls=fault.calls)
            new = bench.state()
    if clean.status != 0:
        raise SystemExit(f"{name}: does not work without a fault either: {clean.said}")
    points = [*bench.points(clean.trace, fault.calls), Point("", 0, "the end")]
    if not fault.is_deadly:
        points.pop()
    for point in points[::every]:
        bad = strike(bench, operation, fault, point, old, new)
        said = {
            "operation": name,
            "fault": kind,
            "at": f"{point.call} {point.number}",
            "line": point.line,
        }
        print(json.dumps({**said, "bad": bad}), flush=True)
        shutil.rmtree(bench.folder / "tmp")
        (bench.folder / "tmp").mkdir()


def main() -> None:
    """One sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("operation", choices=OPERATIONS)
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument(
        "--whole", action="store_true", help="each run in an interpreter of its own"
    )
    parser.add_argument(
        "--careless", action="store_true", help="leave out every fsync: must be noticed"
    )
    given = parser.parse_args()
    name = f"{given.operation}-{given.fault}-{os.getpid()}"
    bench = Bench(given.scene, name, is_whole=given.whole, is_careless=given.careless)
    sweep(bench, given.operation, given.fault, given.every)


if __name__ == "__main__":
    main()
