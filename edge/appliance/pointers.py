"""Pointer files: one for each model, read, replaced at once, and removed.

A pointer is the only thing that decides what serves. It is replaced after everything that it points
to is durable, so that a power cut leaves the old model or the new one. Replacing one needs a block
on the disk; the reserve holds one back, so that a rollback works on a full disk.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from edgekit.edge.appliance.pointer import Pointer
from edgekit.errors import InputError
from edgekit.files import sync_folder, write_durably
from edgekit.nouns import Unreadable, read_json

RESERVE = 64 << 10  # bytes


class Pointers:
    """The pointers of an appliance folder. Whoever replaces one holds the pointers' lock."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "models"
        self._reserve = root / "reserve"

    def models(self) -> list[str]:
        """Return the names of all models that have a pointer, damaged or not."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def file(self, model: str) -> Path:
        """Return where the pointer of a model is, or would be."""
        return self.folder / f"{model}.json"

    def read(self, model: str) -> Pointer | None:
        """Return the pointer of a model, None if it has none; raises InputError where damaged."""
        path = self.file(model)
        try:
            return read_json(path.read_bytes(), Pointer)
        except FileNotFoundError:
            return None
        except Unreadable as error:
            raise InputError(
                f"{path}: damaged: {error}; deploy {model} again, or: edgekit uninstall"
            ) from None

    def read_sound(self, model: str) -> Pointer | None:
        """Return the pointer of a model, None if it has none or a damaged one."""
        try:
            return self.read(model)
        except InputError:
            return None

    def sound(self) -> list[Pointer]:
        """Return all pointers that can be read, in the order of their models' names."""
        return [pointer for name in self.models() if (pointer := self.read_sound(name))]

    def damaged(self) -> list[str]:
        """Return the models whose pointers can't be read."""
        return [model for model in self.models() if self.read_sound(model) is None]

    def point(self, pointer: Pointer) -> None:
        """Switch a model to what a pointer says; on a full disk the reserve makes room.

        Everything that the pointer names must be durable by now.
        """
        path, data = self.file(pointer.model), pointer.to_json()
        try:
            write_durably(path, msgspec.json.format(data, indent=2))
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._reserve.exists():
                raise
            self._reserve.unlink()
            write_durably(path, msgspec.json.format(data, indent=2))

    def forget(self, model: str) -> None:
        """Remove the pointer of a model, damaged or not."""
        self.file(model).unlink()
        sync_folder(self.folder)

    def keep_reserve(self) -> None:
        """Make the reserve if it is not there, unless the disk is full."""
        if not self._reserve.exists():
            with suppress(OSError):
                # zeros would be a hole after a sparse copy
                write_durably(self._reserve, os.urandom(RESERVE))
