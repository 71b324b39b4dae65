"""Switches between slots that are there already: a rollback, a slot given up, a slot proven.

Each is done at once, even while a deploy is at work. edgekit.edge.appliance.pointer has the rules.
"""

from collections.abc import Container
from pathlib import Path

from edgekit.digests import describe_file
from edgekit.edge.appliance.pointer import Pointer, SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.model.slot import read_slot
from edgekit.errors import Busy, InputError


def rollback(root: Path, model: str | None) -> Pointer:
    """Switch a model back to the slot that served before, after hashing its files again.

    Raises InputError where there is none or it has rotted, Busy where the model was switched
    meanwhile.
    """
    store = Store(root)
    seen = store.pointer_of(model)
    if seen.previous is None:
        raise InputError(f"{root}: {seen.model} has no previous version to go back to")
    if rotten := rot_of(store.slot_folder(seen.model, seen.previous), seen.previous):
        raise InputError(f"{rotten}: changed since it was deployed; deploy that version again")
    with store.switching():
        back = store.pointer_of(seen.model).rolled_back()
        if back is None or back.current != seen.previous:
            raise Busy(
                f"{root}: {seen.model} was switched meanwhile; see edgekit status, and run this"
                " again"
            )
        store.watch_counts.forget(seen.model)
        store.point(back)
    return back


def give_up(
    store: Store, model: str, slot: SlotRef, reason: str, unfit: Container[str] = ()
) -> bool:
    """Give up the current slot for the one before it; False where nothing changes what serves.

    That is where no fit slot is before it, which is noted, and where `slot` is not current any
    more.

    reason: why it is given up, one line for people.
    unfit: manifests of slots not to go back to.
    """
    with store.switching():
        pointer = store.pointer_of(model)
        if pointer.current != slot:
            return False
        back = pointer.fallen_back(reason, unfit)
        if back is None and pointer.given_up and pointer.given_up.slot == slot:
            return False  # noted already
        store.point(back or pointer.noted(slot, reason))
    return back is not None


def prove(store: Store, model: str, slot: SlotRef) -> None:
    """Keep the current slot, whose watch window has passed; nothing if another one is current."""
    with store.switching():
        pointer = store.pointer_of(model)
        if pointer.current == slot and pointer.is_watched:
            store.point(pointer.proved())


def rot_of(folder: Path, slot: SlotRef) -> Path | None:
    """Return the first file of a slot that is not what was deployed, None where all are sound."""
    record = folder / "slot.json"
    if not record.is_file() or describe_file(record, "").sha256 != slot.slot_sha256:
        return record
    for file in read_slot(folder).files:
        path = folder / file.path
        if not path.is_file() or describe_file(path, file.path) != file:
            return path
    return None
