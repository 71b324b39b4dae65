"""Locks on files and folders, which the kernel frees when their holder dies."""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from edgekit.errors import Busy

PASSED_ON_SECONDS = 2.0  # that a dead holder's lock is waited for
BRIEF_SECONDS = 5.0  # that a brief lock is waited for


def _take_or_name_holder(handle: int) -> str:
    """Take the lock and return "", or return the name of the process that holds it.

    A process that was killed while it started a child leaves the lock to that child until the child
    runs another program. So a lock whose holder is dead is waited for, PASSED_ON_SECONDS at most.
    """
    until, name = time.monotonic() + PASSED_ON_SECONDS, ""
    while time.monotonic() < until:
        if _try_to_take(handle):
            return ""
        name = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        if not _is_dead(name):
            break
        time.sleep(0.02)
    return name


def _is_dead(name: str) -> bool:
    """Tell whether a holder's name is that of a process that has ended."""
    import psutil

    found = re.search(r"\(process (\d+)\)$", name)
    try:
        return found is not None and psutil.Process(int(found[1])).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold a file as a lock, with the holder's process number in it.

    The kernel frees it when the holder dies. Raises Busy, naming the holder, if another process has
    it.

    path: the lock file, made if it is not there.
    what: the holder's name for others to read, such as "edgekit deploy".
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if holder := _take_or_name_holder(handle):
            raise Busy(
                f"{path.parent}: {holder} is at work here; wait for it to end and run this again"
            )
        if not path.exists() or path.stat().st_ino != os.fstat(handle).st_ino:
            raise Busy(
                f"{path.parent}: another process has just ended its work here; run this again"
            )
        # The name is a courtesy: on a full disk, what frees it must run.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, f"{what} (process {os.getpid()})".encode())
        try:
            yield
        finally:
            # Or the next holder is taken for us until it has written its name.
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


@contextlib.contextmanager
def brief_lock(folder: Path, seconds: float = BRIEF_SECONDS) -> Iterator[None]:
    """Hold a folder itself as a lock, for the moment in which a file in it is read and replaced.

    Needs no file of its own, so it works on a full disk. Raises Busy if others hold it for longer
    than `seconds`.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + seconds
        while not _try_to_take(handle):
            if time.monotonic() > until:
                raise Busy(
                    f"{folder}: another process is at work here; wait for it to end and run this"
                    " again"
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _try_to_take(handle: int) -> bool:
    """Take the lock of an open file if it is free; False where another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
