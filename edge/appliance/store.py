"""The store of an appliance: one folder.

    schema                      "2" (see edgekit.edge.appliance.schema)
    lock                        held for longer work on the store: deploy, fsck, gc, uninstall
    reserve                     64 KiB of nothing, given up when a pointer must be written and the
                                disk is full
    policy.toml                 what this device demands, if the site wrote one
                                (see edgekit.edge.appliance.policy)
    trust.json, trust/*.pub     a root of trust (see edgekit.edge.bundle.trust), or bare keys
    counters.json               the highest release counter that was activated, by model and by key
    blobs/sha256/<hex>          every file once, read only
    slots/<model>/<hex>/        hard links to blobs under the files' real names, with slot.json
    models/<model>.json         the pointer: which slot serves, which served before, which is only
                                staged; the folder is a lock, held while a pointer is replaced
    watch/<model>.json          how often a new model's worker was started in its watch window

The pointer is the only thing that decides what serves. It is replaced atomically, after everything
that it points to is durable, so that a power cut leaves the old model or the new one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from edgekit.edge.appliance.blobs import Blobs
from edgekit.edge.appliance.pointer import Pointer, SlotRef
from edgekit.edge.appliance.pointers import Pointers
from edgekit.edge.appliance.policy import Policy, load_policy
from edgekit.edge.appliance.schema import (
    FOLDERS,
    check_schema,
    is_foreign,
    leftovers,
    leftovers_of_a_switch,
    upgrade,
    write_schema,
)
from edgekit.edge.appliance.trusted import Trusted
from edgekit.edge.appliance.watch_counts import WatchCountFiles, WatchCounts
from edgekit.errors import InputError
from edgekit.files import make_folder
from edgekit.locks import brief_lock, lock


class Serving(NamedTuple):
    """The slot that serves of a model, and where it lies.

    model: its name.
    slot: the slot that serves.
    folder: where the slot's files are, as an absolute path.
    """

    model: str
    slot: SlotRef
    folder: Path


class NamedSlot(NamedTuple):
    """A slot that a pointer names.

    pointer: the pointer that names it.
    slot: the slot.
    folder: where its files are.
    """

    pointer: Pointer
    slot: SlotRef
    folder: Path


class Store:
    """An appliance folder and its locks; what is in it, each part has a class of its own.

    Longer work is done inside `changing`, and any pointer is replaced inside `switching`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root)
        self.pointers = Pointers(root)
        self.trusted = Trusted(root)
        self.watch_counts = WatchCountFiles(root)

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Hold the store's lock for as long as it takes; makes the store in a new or empty folder.

        what: the holder's name for others to read, such as "edgekit deploy".
        """
        if is_foreign(self.root):
            raise InputError(f"{self.root}: not an appliance folder, and not empty; name a new one")
        make_folder(self.root)
        with lock(self.root / "lock", what):
            for name in FOLDERS:
                make_folder(self.root / name)
            if not (self.root / "schema").exists():
                write_schema(self.root)
            for path in leftovers(self.root):
                path.unlink()
            with self.switching():
                self.pointers.keep_reserve()
            yield

    @contextmanager
    def switching(self) -> Iterator[None]:
        """Hold the pointers' lock for a moment; brings an older store up to date.

        So a rollback, or the end of a watch window, waits for no deploy. These only drop slots from
        a pointer, or exchange them: whoever does longer work meanwhile may look at a pointer that
        is a moment old.
        """
        self.check()
        with brief_lock(self.pointers.folder):
            for path in leftovers_of_a_switch(self.root):
                path.unlink()
            upgrade(self.root, self.pointers)
            yield

    def check(self) -> None:
        """Raise InputError unless this is a store that this version understands."""
        check_schema(self.root)

    def policy(self) -> Policy:
        """Return what this device demands."""
        return load_policy(self.root)

    def pointer(self, model: str) -> Pointer | None:
        """Return the pointer of a model, None if it has none; raises InputError where damaged."""
        return self.pointers.read(model)

    def pointer_of(self, name: str | None) -> Pointer:
        """Return the pointer of the named model, or of the only one; raises InputError."""
        self.check()
        models = self.pointers.models()
        if name is None and len(models) != 1:
            held = (
                f"holds {', '.join(models)}; name one with --model"
                if models
                else "holds no model yet; deploy one"
            )
            raise InputError(f"{self.root}: {held}")
        pointer = self.pointer(name or models[0])
        if pointer is None:
            raise InputError(
                f"{self.root}: holds no model {name!r}; it holds: {', '.join(models) or 'none'}"
            )
        return pointer

    def serving(self, name: str | None) -> Serving:
        """Return what serves of the named model, or of the only one; raises InputError."""
        pointer = self.pointer_of(name)
        if pointer.current is None:
            raise InputError(
                f"{self.root}: {pointer.model} is only staged, which can be profiled and not serve "
                f"({pointer.staged.reason if pointer.staged else 'nothing is left of it'})"
            )
        folder = self.slot_folder(pointer.model, pointer.current).resolve()
        return Serving(pointer.model, pointer.current, folder)

    def slot_folder(self, model: str, slot: SlotRef) -> Path:
        """Return where the files of a model's slot are."""
        return self.blobs.slot_folder(model, slot.manifest)

    def named(self) -> Iterator[NamedSlot]:
        """Yield every slot that a sound pointer names."""
        for pointer in self.pointers.sound():
            for slot in pointer.slots().values():
                yield NamedSlot(pointer, slot, self.slot_folder(pointer.model, slot))

    def point(self, pointer: Pointer) -> None:
        """Switch a model to what a pointer says, inside `switching`."""
        self.pointers.point(pointer)

    def watched(self, model: str, slot: SlotRef) -> WatchCounts:
        """Return what was counted of a slot so far in its watch window."""
        return self.watch_counts.read(model, slot)

    def keep_watch(self, model: str, counts: WatchCounts) -> None:
        """Write what was counted of a model's current slot; raises Busy."""
        self.watch_counts.keep(model, counts)

    def forget(self, model: str) -> None:
        """Remove a model's pointer and watch counts; its release counters stay."""
        self.pointers.forget(model)
        self.watch_counts.forget(model)

    def collect(self) -> int:
        """Remove slots that no pointer names, then blobs that no slot links to.

        Where a pointer is damaged all slots of its model are kept. Returns the bytes freed.
        """
        kept, unknown = {folder for _, _, folder in self.named()}, self.pointers.damaged()
        return self.blobs.collect(kept, unknown)
