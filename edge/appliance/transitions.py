"""Between slots that are there already: back by hand, given up, proven. Each is done at once,
whatever else is at work.
"""

from collections.abc import Container
from pathlib import Path

import msgspec

from edgekit.digests import describe_file
from edgekit.edge.appliance.pointer import Noted, Pointer, SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.model.slot import read_slot
from edgekit.errors import Busy, InputError


def rollback(root: Path, model: str | None) -> Pointer:
    """Switch back to the slot that served before; it was checked when it was deployed."""
    store = Store(root)
    seen = store.only_model(model)
    if seen.previous is None:
        raise InputError(f"{root}: {seen.model} has no previous version to go back to")
    if rotten := rot_of(store.slot_folder(seen.model, seen.previous), seen.previous):
        raise InputError(f"{rotten}: changed since it was deployed; deploy that version again")
    with store.switching():
        back = store.only_model(seen.model).rolled_back()
        if back is None or back.current != seen.previous:
            raise Busy(
                f"{root}: {seen.model} was switched meanwhile; see edgekit status, and run this"
                " again"
            )
        store.forget_watch(seen.model)
        store.point(back)
    return back


def give_up(
    store: Store, model: str, slot: SlotRef, reason: str, unfit: Container[str] = ()
) -> bool:
    """Take a slot that serves out of service for the one before it; False if nothing is before it.

    unfit: manifests not to go back to.
    """
    with store.switching():
        pointer = store.only_model(model)
        if pointer.current != slot:
            return False
        back = pointer.fallen_back(reason, unfit)
        if back is None and pointer.given_up and pointer.given_up.slot == slot:
            return False  # noted already
        store.point(
            back or msgspec.structs.replace(pointer, given_up=Noted(slot=slot, reason=reason))
        )
    return back is not None


def prove(store: Store, model: str, slot: SlotRef) -> None:
    """The watch window has passed: the slot is kept."""
    with store.switching():
        pointer = store.only_model(model)
        if pointer.current == slot and pointer.is_watched:
            is_cleared = (
                pointer.given_up is not None and pointer.given_up.slot.manifest == slot.manifest
            )
            given_up = None if is_cleared else pointer.given_up
            store.point(msgspec.structs.replace(pointer, proven=slot, given_up=given_up))


def rot_of(folder: Path, slot: SlotRef) -> Path | None:
    """The first file of a slot that is not what was deployed, or None."""
    record = folder / "slot.json"
    if not record.is_file() or describe_file(record, "").sha256 != slot.slot_sha256:
        return record
    for file in read_slot(folder).files:
        path = folder / file.path
        if not path.is_file() or describe_file(path, file.path) != file:
            return path
    return None
