"""Blobs and slots: every file once, under its digest, and hard links to it under its real name."""

import os
import shutil
from collections.abc import Container
from pathlib import Path

from edgekit.files import sync_folder


class Blobs:
    """The blobs and slots of an appliance folder."""

    def __init__(self, root: Path) -> None:
        self._slots = root / "slots"
        self.folder = root / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        """Return where a blob is, or would be."""
        return self.folder / digest.removeprefix("sha256:")

    def slot_folder(self, model: str, manifest: str) -> Path:
        """Return where the slot of a variant's manifest is, or would be."""
        return self._slots / model / manifest.removeprefix("sha256:")[:32]

    def collect(self, kept: Container[Path], unknown: Container[str]) -> int:
        """Remove slots that are not kept, then blobs that no slot links to.

        kept: the folders of the slots to keep.
        unknown: models whose slots are all kept, since nobody can tell which are needed.

        Returns the bytes that this freed.
        """
        for folder in self._slots.glob("*/*/"):
            if folder in kept or folder.parent.name in unknown:
                for left in folder.glob(".*.*/"):  # by a compile step that was cut off
                    shutil.rmtree(left)
            else:
                shutil.rmtree(folder)
        freed = 0
        for path in self.folder.iterdir():
            state = os.stat(path)  # noqa: PTH116 - nlink reads best this way
            if path.name.startswith(".") or state.st_nlink == 1:
                path.unlink()
                freed += state.st_size
        sync_folder(self.folder)
        return freed
