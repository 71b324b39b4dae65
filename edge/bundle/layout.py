"""Reads an OCI image layout, a folder or one canonical tar of it, without extracting anything.

Canonical: entries sorted by name, regular files only, no owner, no time. A header that differs by
one bit from the one we would write is refused, so nothing outside the signed set can say anything.
"""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from edgekit.errors import InputError, Refused
from edgekit.files import make_folder, new_folder, sync_folder

OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
BLOBS = "blobs/sha256/"
FOLDERS = ("blobs", "blobs/sha256")
MAX_ENTRIES = 4096
PIECE = 1 << 20
MAX_SMALL = 4 << 20  # bytes of a file that is read whole


class Layout(Protocol):
    """Files by name, read only: a folder or a tar."""

    where: Path

    def sizes(self) -> Mapping[str, int]:
        """Return the size of every file, by name."""

    def open(self, name: str) -> BinaryIO:
        """Open one file at its start.

        The caller closes it, and reads no further than its size.
        """


class FolderLayout:
    """A layout that is a folder."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self._sizes = self._walk()

    def sizes(self) -> Mapping[str, int]:
        return self._sizes

    def _walk(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in self.where.rglob("*"):
            name = path.relative_to(self.where).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Refused(f"{path}: neither a file nor a folder")
            if path.is_file():
                found[name] = path.stat().st_size
            elif name not in FOLDERS:
                raise Refused(f"{path}: a folder that edgekit does not write")
            if len(found) > MAX_ENTRIES:
                raise Refused(f"{self.where}: more than {MAX_ENTRIES} files")
        return found

    def open(self, name: str) -> BinaryIO:
        return (self.where / name).open("rb")


class Place(NamedTuple):
    """Where a file lies in a tar.

    offset: byte that its contents begin at.
    size: bytes.
    """

    offset: int
    size: int


class TarLayout:
    """A layout that is one tar file."""

    def __init__(self, where: Path) -> None:
        self.where = where
        with where.open("rb") as file:
            self._places = dict(_walk(file, where))

    def sizes(self) -> Mapping[str, int]:
        return {name: place.size for name, place in self._places.items()}

    def open(self, name: str) -> BinaryIO:
        file = self.where.open("rb")
        file.seek(self._places[name].offset)
        return file


def _walk(file: BinaryIO, where: Path) -> Iterator[tuple[str, Place]]:
    """List the entries of a canonical tar; raises Refused at the first bit that is another."""
    total, last, count = where.stat().st_size, "", 0
    while True:
        header = file.read(tarfile.BLOCKSIZE)
        if header == bytes(tarfile.BLOCKSIZE):
            break
        try:
            entry = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise Refused(
                f"{where}: not a canonical tar: damaged header after {last or 'the start'!r}"
            ) from None
        count += 1
        if (
            entry.size < 0
            or header != _header(entry.name, entry.size)
            or entry.name <= last
            or count > MAX_ENTRIES
        ):
            raise Refused(f"{where}: not a canonical tar: entry {entry.name[:100]!r}")
        offset = file.tell()
        padding = -entry.size % tarfile.BLOCKSIZE
        if offset + entry.size + padding > total:
            raise Refused(f"{where}: cut short in {entry.name!r}")
        yield entry.name, Place(offset, entry.size)
        file.seek(offset + entry.size)
        if file.read(padding) != bytes(padding):
            raise Refused(f"{where}: not a canonical tar: padding of {entry.name!r}")
        last = entry.name
    rest = file.read(tarfile.RECORDSIZE + 1)
    if rest != bytes(tarfile.BLOCKSIZE) or file.tell() != total:
        raise Refused(f"{where}: not a canonical tar: something follows its end")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    try:
        header = info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")
    except (UnicodeEncodeError, ValueError):
        return b""
    return header if len(header) == tarfile.BLOCKSIZE else b""


def open_layout(where: Path) -> Layout:
    """Open a bundle; raises InputError if there is none, Refused if it is not a sound one."""
    if where.is_dir():
        if not (where / "oci-layout").is_file():
            raise InputError(
                f"{where}: not a bundle: it has no oci-layout; make one with: edgekit bundle pack"
            )
        return FolderLayout(where)
    if where.is_file():
        return TarLayout(where)
    raise InputError(
        f"{where}: no such bundle; it is a folder or a .tar made by: edgekit bundle pack"
    )


def read_small(layout: Layout, name: str) -> bytes:
    """Read a whole small file; raises Refused if it is missing or too large."""
    size = layout.sizes().get(name)
    if size is None:
        raise Refused(f"{layout.where}: {name} is missing")
    if size > MAX_SMALL:
        raise Refused(f"{layout.where}: {name} is larger than {MAX_SMALL} bytes")
    with layout.open(name) as file:
        return file.read(size)


def pieces(layout: Layout, name: str) -> Iterator[bytes]:
    """Read a file piece by piece, and nothing beyond its size; less if it was cut short."""
    left = layout.sizes()[name]
    with layout.open(name) as file:
        while left and (piece := file.read(min(left, PIECE))):
            yield piece
            left -= len(piece)


def blob_name(digest: str) -> str:
    """Return where the blob of a digest lies."""
    return BLOBS + digest.removeprefix("sha256:")


def write_layout(where: Path, small: Mapping[str, bytes], large: Mapping[str, Path]) -> None:
    """Write a layout durably, as a tar if the name ends in .tar, else as a folder.

    small: contents by name.
    large: files to copy by name.
    """
    if where.exists():
        raise InputError(f"{where}: exists already; remove it or choose another name")
    if where.suffix != ".tar":
        with new_folder(where) as work:
            for name in sorted({*small, *large}):
                path = work / name
                make_folder(path.parent)
                with path.open("wb") as file:
                    _copy(name, small, large, file)
        return
    with new_folder(where.with_name(f"{where.name}.making")) as work:
        part = work / "bundle"
        with part.open("wb") as file:
            for name in sorted({*small, *large}):
                size = len(small[name]) if name in small else large[name].stat().st_size
                file.write(_header(name, size))
                _copy(name, small, large, file)
                file.write(bytes(-size % tarfile.BLOCKSIZE))
            file.write(bytes(2 * tarfile.BLOCKSIZE))
    made = where.with_name(f"{where.name}.making")
    (made / "bundle").rename(where)
    made.rmdir()
    sync_folder(where.resolve().parent)


def _copy(
    name: str, small: Mapping[str, bytes], large: Mapping[str, Path], target: BinaryIO
) -> None:
    source: BinaryIO = io.BytesIO(small[name]) if name in small else large[name].open("rb")
    with source:
        while chunk := source.read(PIECE):
            target.write(chunk)
