"""Deploying: verdict, fit, copy, slot, golden samples, switch; in this order, each undone if the next one fails."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgekit.edge.bundle.keys import load_public_key
from edgekit.edge.bundle.layout import Layout, open_layout
from edgekit.edge.bundle.oci import Descriptor
from edgekit.edge.bundle.verify import Verified, VerifiedVariant, read_blob, verify
from edgekit.edge.engines import engine_version
from edgekit.edge.store import Pointer, SlotRef, Store
from edgekit.errors import EdgekitError, InputError, Misfit
from edgekit.files import describe_file, new_folder, sync_folder
from edgekit.job import run_job
from edgekit.targets.detect import detect_machine

GOLDEN_SECONDS = 300.0  # for a model to load and answer its golden samples
SPARE_BYTES = 16 << 20  # left free on the disk beside what a deploy needs

Tell = Callable[[str, float], None]  # the stage, and the share of it that is done


def deploy(bundle: Path, root: Path, trust: Path | None, tell: Tell) -> Pointer:
    """Put a bundle's best fitting variant into the store and switch to it.

    Raises Refused (not what a trusted key signed), Misfit (not for this device, or wrong answers here), InputError,
    Busy. The model that served before goes on serving in every one of these cases.
    """
    layout = open_layout(bundle)
    store = Store(root)
    new_key = load_public_key(trust) if trust else None
    if new_key is None:
        store.check()
    with store.changing("edgekit deploy"):
        keys = store.trusted_keys()
        if new_key and keys and new_key.keyid not in {key.keyid for key in keys}:
            raise InputError(
                f"{root}: trusts other keys already; to add this one, copy {trust} to {root / 'trust'}"
            )
        tell("checking the signature", 0)
        verified = verify(layout, [new_key] if new_key else keys)
        variant = pick_variant(verified)
        try:
            folder = _fill_slot(layout, store, variant, tell)
            tell("checking the golden samples", 0)
            check_golden(folder, variant.layers["slot.json"].digest)
        except BaseException:
            store.collect()  # what no pointer names, so also what we have just copied
            raise
        if trust and not keys:
            store.trust(trust)
        pointer = _switch(store, variant)
        store.collect()
    return pointer


def rollback(root: Path, model: str | None) -> Pointer:
    """Switch back to the slot that served before; it was checked when it was deployed."""
    store = Store(root)
    store.check()
    with store.changing("edgekit rollback"):
        pointer = store.only_model(model)
        if pointer.previous is None:
            raise InputError(f"{root}: {pointer.model} has no previous version to go back to")
        back = Pointer(model=pointer.model, current=pointer.previous, previous=pointer.current)
        store.point(back)
    return back


def pick_variant(verified: Verified) -> VerifiedVariant:
    """The first variant that this device can run; raises Misfit with each one's reason."""
    reasons = []
    for variant in verified.variants:
        reason = misfit(variant)
        if reason is None:
            return variant
        reasons.append(f"{variant.slot.variant}: {reason}")
    raise Misfit(
        f"{verified.release.model} {verified.release.version} does not fit this device: {'; '.join(reasons)}"
    )


def misfit(variant: VerifiedVariant) -> str | None:
    """Why this device can't run a variant, or None."""
    slot, machine = variant.slot, detect_machine()
    if slot.architecture != machine.architecture:
        return f"is for {slot.architecture}, and this is {machine.architecture}"
    if not set(slot.isa) <= set(machine.isa):
        return f"needs a CPU with {', '.join(sorted(set(slot.isa) - set(machine.isa)))}"
    if engine_version(slot.engine) is None:
        return f"needs the engine {slot.engine}, which is not installed (edgekit doctor says how)"
    if machine.memory_bytes < 2 * sum(file.size for file in slot.files):
        return "does not fit into this device's memory"
    return None


def _fill_slot(layout: Layout, store: Store, variant: VerifiedVariant, tell: Tell) -> Path:
    """Copy what the store lacks, and lay it out under its real names; returns the slot's folder."""
    tell("looking for what is there already", 0)
    missing, total, free = _still_missing(store, variant)
    if total + SPARE_BYTES > free:
        store.collect()  # which may take blobs that no slot links to, so look again
        missing, total, free = _still_missing(store, variant)
    if total + SPARE_BYTES > free:
        raise InputError(
            f"{store.root}: the bundle needs {total + SPARE_BYTES} bytes, and the disk has {free} free"
        )
    copied = 0
    for item in missing:
        tell("copying", copied / max(total, 1))
        _copy_blob(layout, store, item)
        copied += item.size
    sync_folder(store.root / "blobs" / "sha256")
    return _make_slot(store, variant)


def _still_missing(store: Store, variant: VerifiedVariant) -> tuple[list[Descriptor], int, int]:
    """The layers to copy, their bytes, and the bytes that the disk has free."""
    missing = [item for item in variant.layers.values() if not _is_sound(store.blob(item.digest), item)]
    return missing, sum(item.size for item in missing), shutil.disk_usage(store.root).free


def _is_sound(path: Path, item: Descriptor) -> bool:
    """Whether a blob is there and still what its name says: a rotten one is copied again."""
    return (
        path.is_file() and path.stat().st_size == item.size and describe_file(path, "").sha256 == item.digest
    )


def _copy_blob(layout: Layout, store: Store, item: Descriptor) -> None:
    target = store.blob(item.digest)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".copying.")
    try:
        with os.fdopen(handle, "wb") as file:
            read_blob(layout, item, file.write)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _make_slot(store: Store, variant: VerifiedVariant) -> Path:
    folder = store.slot_by_digest(variant.slot.model, variant.descriptor.digest)
    if not folder.is_dir():
        with new_folder(folder) as work:
            for name, item in variant.layers.items():
                (work / name).hardlink_to(store.blob(item.digest))
        return folder
    for name, item in variant.layers.items():  # deployed before, and perhaps serving: mend what has rotted
        blob, path = store.blob(item.digest), folder / name
        if not path.exists() or not path.samefile(blob):
            fresh = folder / f".{name}"
            fresh.unlink(missing_ok=True)
            fresh.hardlink_to(blob)
            fresh.replace(path)
    sync_folder(folder)
    return folder


def check_golden(folder: Path, slot_sha256: str) -> None:
    """Let the slot answer its golden samples in a process of its own; raises Misfit if it answers wrongly."""
    with tempfile.TemporaryDirectory(prefix="edgekit-golden-") as scratch:
        log = Path(scratch) / "log"
        try:
            result = run_job(
                "edgekit.edge.golden:golden_job",
                {"folder": str(folder.resolve()), "slot_sha256": slot_sha256},
                log,
                seconds=GOLDEN_SECONDS,
            )
        except EdgekitError as error:
            message = str(error).split("; its output is in ")[0]
            raise Misfit(f"the model does not run here: {message}") from None
    difference, tolerance = result["difference"], result["tolerance"]
    if not difference <= tolerance:
        raise Misfit(
            f"the model answers the golden samples wrongly here: its answers are off by {difference:.3g}, "
            f"and {tolerance:.3g} is healthy"
        )


def _switch(store: Store, variant: VerifiedVariant) -> Pointer:
    slot = variant.slot
    new = SlotRef(
        manifest=variant.descriptor.digest,
        slot_sha256=variant.layers["slot.json"].digest,
        version=slot.version,
        variant=slot.variant,
    )
    old = store.pointer(slot.model)
    if old is not None and old.current.manifest == new.manifest:
        return old
    pointer = Pointer(model=slot.model, current=new, previous=old.current if old else None)
    store.point(pointer)
    return pointer
