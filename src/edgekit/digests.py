"""Digests of files: SHA-256 is what they are named by, BLAKE3 what they are checked by fast."""

import hashlib
from pathlib import Path

from edgekit.nouns import File

CHUNK = 1 << 20  # bytes read at a time


def digest_bytes(data: bytes) -> str:
    """Return `sha256:<hex>` of bytes, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def fast_digest(path: Path) -> str:
    """Return `blake3:<hex>` of a file: four times as fast as SHA-256 on one core."""
    from blake3 import blake3

    return f"blake3:{blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()}"


def describe_file(path: Path, name: str) -> File:
    """Return the record of a file (size, SHA-256, BLAKE3), reading it once."""
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
    """Return the record of a file that is to hold these bytes."""
    from blake3 import blake3

    return File(
        path=name,
        size=len(data),
        sha256=digest_bytes(data),
        blake3=f"blake3:{blake3(data).hexdigest()}",
    )


def describe_folder(folder: Path) -> tuple[File, ...]:
    """Return the records of all files below a folder, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(describe_file(path, path.relative_to(folder).as_posix()) for path in paths)
