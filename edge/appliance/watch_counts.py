"""Counts of a new slot's watch window, kept on disk for the server's next start.

So a box that reboots in a loop comes to an end as well.
"""

from pathlib import Path

from edgekit.edge.appliance.pointer import SlotRef
from edgekit.files import make_folder, write_durably
from edgekit.locks import brief_lock
from edgekit.nouns import Noun, Unreadable, read_json


class WatchCounts(Noun, frozen=True, kw_only=True):
    """The counts of one slot in its watch window.

    manifest: the digest that names the slot.
    starts: how often its worker was started.
    """

    manifest: str
    starts: int = 0


class WatchCountFiles:
    """The watch counts of an appliance folder, by model."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "watch"
        self._locked = root / "models"

    def read(self, model: str, slot: SlotRef) -> WatchCounts:
        """Return what was counted of a slot so far; zeros where the counts are of another slot."""
        try:
            counts = read_json((self._folder / f"{model}.json").read_bytes(), WatchCounts)
        except (FileNotFoundError, Unreadable):
            return WatchCounts(manifest=slot.manifest)
        return counts if counts.manifest == slot.manifest else WatchCounts(manifest=slot.manifest)

    def keep(self, model: str, counts: WatchCounts) -> None:
        """Write the counts of a model's current slot; raises Busy."""
        with brief_lock(self._locked):
            write_durably(make_folder(self._folder) / f"{model}.json", counts.to_json())

    def forget(self, model: str) -> None:
        """Let the next slot's window begin with zeros."""
        (self._folder / f"{model}.json").unlink(missing_ok=True)
