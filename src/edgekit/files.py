"""Files that survive a power cut, their digests, and locks.

The order that survived every cut we tried (ext4 with both journal modes): write, fsync the file,
rename, fsync the folder. A rename without the fsync before it leaves a file of zero length.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgekit.errors import Busy
from edgekit.nouns import File

CHUNK = 1 << 20
PASSED_ON_SECONDS = 2.0
BRIEF_SECONDS = 5.0


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data`: a reader, or a power cut, sees the old content or the new one and
    nothing else.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> Path:
    """`mkdir -p`, each new name durable; returns the path."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name whole and durable, or not at all."""
    make_folder(path.parent)
    work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        work.chmod(0o755)
        yield work
        for part in sorted(work.rglob("*"), reverse=True):
            _sync(part)
        sync_folder(work)
        if path.exists():  # left by an older run under the same name: ours is the same or newer
            shutil.rmtree(path)
        work.rename(path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    sync_folder(path.parent)


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def digest_bytes(data: bytes) -> str:
    """`sha256:<hex>`, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def fast_digest(path: Path) -> str:
    """`blake3:<hex>` of a file: four times as fast as SHA-256 on one core."""
    from blake3 import blake3

    return f"blake3:{blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()}"


def describe_file(path: Path, name: str) -> File:
    """Size, SHA-256 and BLAKE3 of a file, read once."""
    from blake3 import blake3

    sha256, fast, size = hashlib.sha256(), blake3(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            fast.update(chunk)
            size += len(chunk)
    return File(
        path=name,
        size=size,
        sha256=f"sha256:{sha256.hexdigest()}",
        blake3=f"blake3:{fast.hexdigest()}",
    )


def describe_bytes(data: bytes, name: str) -> File:
    """The same of bytes that are to become a file."""
    from blake3 import blake3

    return File(
        path=name,
        size=len(data),
        sha256=digest_bytes(data),
        blake3=f"blake3:{blake3(data).hexdigest()}",
    )


def describe_folder(folder: Path) -> tuple[File, ...]:
    """Every file below a folder, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(describe_file(path, path.relative_to(folder).as_posix()) for path in paths)


def _holder(handle: int) -> str:
    """Take the lock; or else who has it.

    One that was killed while it started a process has left the lock to that, for the moment until
    it is another program.
    """
    until, name = time.monotonic() + PASSED_ON_SECONDS, ""
    while time.monotonic() < until:
        if _is_taken(handle):
            return ""
        name = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        if not _is_dead(name):
            break
        time.sleep(0.02)
    return name


def _is_dead(name: str) -> bool:
    """Whether this is the name of a process that is no more."""
    import psutil

    found = re.search(r"\(process (\d+)\)$", name)
    try:
        return found is not None and psutil.Process(int(found[1])).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold `path` as a lock, with our process number in it; the kernel frees it when the holder
    dies.

    Raises Busy, naming the holder, if another process has it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if holder := _holder(handle):
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

    Needs no file of its own, so it works on a full disk. Raises Busy if others hold it for so many
    seconds.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + seconds
        while not _is_taken(handle):
            if time.monotonic() > until:
                raise Busy(
                    f"{folder}: another process is at work here; wait for it to end and run this"
                    " again"
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _is_taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
