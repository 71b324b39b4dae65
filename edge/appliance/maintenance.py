"""Maintenance of a store: hash everything again, remove what is not needed, remove a model."""

from collections.abc import Iterator

from edgekit.edge.appliance.pointer import Pointer
from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import give_up, rot_of
from edgekit.edge.model import device_compile as compiled
from edgekit.nouns import Noun


class Rotten(Noun, frozen=True, kw_only=True):
    """A file that is not what was deployed.

    path: the file.
    model: whose slot it belongs to.
    version: of the slot, "" for a pointer.
    role: of the slot (current, previous, proven, staged), or "pointer".
    """

    path: str
    model: str
    version: str
    role: str


class Checkup(Noun, frozen=True, kw_only=True):
    """The result of `edgekit fsck`.

    files: how many files were hashed.
    size_bytes: of these files.
    rotten: the files that are not what was deployed.
    fell_back: by model, the version that serves instead.
    """

    files: int
    size_bytes: int
    rotten: tuple[Rotten, ...]
    fell_back: dict[str, str]


def check_store(store: Store) -> Checkup:
    """Hash every file of every slot, and switch away from a current slot that has rotted.

    The sound slot before it serves from now on, if there is one. What the device compiled for
    itself is hashed, too; where that has rotted the engine does without it.
    """
    store.check()
    with store.changing("edgekit fsck"):
        rotten = [
            Rotten(path=str(store.pointers.file(model)), model=model, version="", role="pointer")
            for model in store.pointers.damaged()
        ]
        fell_back: dict[str, str] = {}
        for pointer in store.pointers.sound():
            bad = _rotten(store, pointer)
            rotten += [*bad.values(), *_rotten_compiled(store, pointer)]
            current = pointer.current
            if current is None or current.manifest not in bad:
                continue
            reason = f"{bad[current.manifest].path}: changed since it was deployed"
            if give_up(store, pointer.model, current, reason, bad):
                fell_back[pointer.model] = store.serving(pointer.model).slot.version
        files = {
            file.stat().st_ino: file.stat().st_size
            for _, _, folder in store.named()
            for file in folder.rglob("*")
            if file.is_file()
        }
    return Checkup(
        files=len(files), size_bytes=sum(files.values()), rotten=tuple(rotten), fell_back=fell_back
    )


def _rotten(store: Store, pointer: Pointer) -> dict[str, Rotten]:
    """Return the first rotten file of each slot that has one, by the slot's manifest."""
    found = {}
    for role, slot in pointer.slots().items():
        if path := rot_of(store.slot_folder(pointer.model, slot), slot):
            found[slot.manifest] = Rotten(
                path=str(path), model=pointer.model, version=slot.version, role=role
            )
    return found


def _rotten_compiled(store: Store, pointer: Pointer) -> Iterator[Rotten]:
    """Yield what the device compiled for itself and is not what was made."""
    for role, slot in pointer.slots().items():
        folder = store.slot_folder(pointer.model, slot)
        if compiled.is_rotten(folder):
            path = str(folder / compiled.FOLDER)
            yield Rotten(path=path, model=pointer.model, version=slot.version, role=role)


def collect(store: Store) -> int:
    """Remove what no pointer names; returns the bytes freed."""
    store.check()
    with store.changing("edgekit gc"):
        return store.collect()


def uninstall(store: Store, model: str) -> int:
    """Remove a model; returns the bytes freed. Raises InputError where there is no such model."""
    store.check()
    with store.changing("edgekit uninstall"):
        freed = store.collect()  # an uninstall that was cut off left something
        if model not in store.pointers.damaged():
            store.pointer_of(model)
        with store.switching():
            store.forget(model)
        return freed + store.collect()
