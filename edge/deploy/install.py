"""Installing a variant: copy the blobs that the store lacks, then make its slot or mend it."""

import os
import tempfile
from pathlib import Path

from edgekit.digests import describe_file
from edgekit.edge.appliance.policy import Policy
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.layout import Layout
from edgekit.edge.bundle.oci import Descriptor
from edgekit.edge.bundle.verify import VerifiedVariant, read_blob
from edgekit.edge.deploy.fit import check_room, shortage
from edgekit.files import new_folder, sync_folder
from edgekit.job import Progress


def fill_slot(
    layout: Layout, store: Store, variant: VerifiedVariant, policy: Policy, tell: Progress
) -> Path:
    """Copy what the store lacks of a variant, and lay it out as a slot; returns its folder.

    Raises InputError where the disk has no room.
    """
    tell("looking for what is there already", 0)
    missing = _missing(store, variant)
    if shortage(store.root, missing, policy):
        store.collect()  # which may take blobs that no slot links to, so look again
        missing = _missing(store, variant)
    check_room(store, missing, policy)
    copied, total = 0, sum(item.size for item in missing)
    for item in missing:
        tell("copying", copied / max(total, 1))
        _copy_blob(layout, store, item)
        copied += item.size
    sync_folder(store.blobs.folder)
    folder = store.blobs.slot_folder(variant.slot.model, variant.descriptor.digest)
    if folder.is_dir():  # deployed before, and perhaps serving
        _mend_slot(store, variant, folder)
    else:
        _make_slot(store, variant, folder)
    return folder


def _missing(store: Store, variant: VerifiedVariant) -> list[Descriptor]:
    """Return the layers that are to be copied."""
    return [
        item
        for item in variant.layers.values()
        if not _is_sound(store.blobs.path(item.digest), item)
    ]


def _is_sound(path: Path, item: Descriptor) -> bool:
    """Tell whether a blob is there and still what its name says; a rotten one is copied again."""
    return (
        path.is_file()
        and path.stat().st_size == item.size
        and describe_file(path, "").sha256 == item.digest
    )


def _copy_blob(layout: Layout, store: Store, item: Descriptor) -> None:
    """Copy a blob to the store: whole, durable and read only, or not at all."""
    target = store.blobs.path(item.digest)
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


def _make_slot(store: Store, variant: VerifiedVariant, folder: Path) -> None:
    """Lay out a variant's blobs under their real names, in a folder that is new."""
    with new_folder(folder) as work:
        for name, item in variant.layers.items():
            (work / name).hardlink_to(store.blobs.path(item.digest))


def _mend_slot(store: Store, variant: VerifiedVariant, folder: Path) -> None:
    """Put sound blobs in the place of files of a slot that have rotted or gone."""
    for name, item in variant.layers.items():
        blob, path = store.blobs.path(item.digest), folder / name
        if not path.exists() or not path.samefile(blob):
            fresh = folder / f".{name}"
            fresh.unlink(missing_ok=True)
            fresh.hardlink_to(blob)
            fresh.replace(path)
    sync_folder(folder)
