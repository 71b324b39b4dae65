"""Deploying: verdict, policy, fit, copy, slot, last compile step, golden samples, switch; each
undone if the next one fails.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgekit.digests import describe_file
from edgekit.edge.appliance.pointer import Noted, Pointer, SlotRef
from edgekit.edge.appliance.policy import Policy, WatchPart, policy_file, policy_trust, shortfalls
from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import rot_of
from edgekit.edge.bundle.envelope import load_public_key
from edgekit.edge.bundle.layout import Layout, open_layout
from edgekit.edge.bundle.oci import Descriptor
from edgekit.edge.bundle.trust import Trust, bare, is_trust_file, read_trust, verdict
from edgekit.edge.bundle.verify import Verified, VerifiedVariant, read_blob, verify
from edgekit.edge.engines import accelerator, engine_version
from edgekit.edge.model import device_compile as compiled
from edgekit.edge.model.health import Health, ailment
from edgekit.edge.model.slot import read_slot
from edgekit.errors import EdgekitError, InputError, Misfit, Refused
from edgekit.files import new_folder, sync_folder
from edgekit.job import run_job
from edgekit.nouns import Slot
from edgekit.targets.detect import Machine, detect_machine

SPARE_FILES = 16  # names that a deploy may need beside the model's own

Tell = Callable[[str, float], None]  # the stage, and the share of it that is done


class Picked(NamedTuple):
    """The variant for this device. lacks: what keeps it from serving here; "" for nothing."""

    variant: VerifiedVariant
    lacks: str


def deploy(bundle: Path, root: Path, trust: Path | None, tell: Tell) -> Pointer:
    """Put a bundle's best fitting variant into the store and switch to it, or stage it where the
    policy says so.

    An older release is taken for one thing only: to mend the files of a slot that the store has.
    Raises Refused (not what a trusted key signed, older than what was deployed, or against the
    policy), Misfit (not for this device, or wrong answers here), InputError, Busy. The model that
    served before goes on serving in every one of these cases.
    """
    layout = open_layout(bundle)
    store = Store(root)
    if trust is None and policy_trust(root, store.policy()) is None:
        store.check()
    with store.changing("edgekit deploy"):
        trusted, keep_trust = _trusted(store, trust)
        tell("checking the signature", 0)
        verified = verify(layout, trusted)
        mended = _older(store, verified, trusted)
        policy = store.policy()
        picked = pick_variant(mended or verified, policy, policy_file(root))
        variant = picked.variant
        _check_memory(store, variant, policy)
        try:
            folder = _fill_slot(layout, store, variant, policy, tell)
            digest = variant.layers["slot.json"].digest
            if compiled.needs_device_compile(variant.slot):
                tell("compiling for this device", 0)
                compiled.compile_slot(folder, digest, tell)
                _check_room_after(store, folder, policy)
            tell("checking the golden samples", 0)
            check_golden(folder, digest, policy.watch.golden_seconds)
        except BaseException:
            store.collect()  # what no pointer names, so also what we have just copied
            raise
        keep_trust()
        with store.switching():
            pointer = _pointed(store, verified, picked, policy, is_mended=mended is not None)
        store.collect()
    return pointer


def _trusted(store: Store, offered: Path | None) -> tuple[Trust, Callable[[], None]]:
    """Who may sign, and what keeps that for the next time; raises InputError, Refused."""
    installed = store.trusted.chain()
    if offered is None:
        return store.trusted.trust(), lambda: None
    if is_trust_file(offered):
        chain = read_trust(offered)
        if installed is None and store.trusted.trust().release.keys:
            raise InputError(
                f"{store.root}: trusts keys already; to put a root of trust in their place: edgekit"
                " trust install"
            )
        found = verdict(chain, offered, installed)
        if installed is None:
            return found, lambda: store.trusted.keep_chain(chain)
        store.trusted.keep_chain(chain)  # a revocation holds whatever becomes of the bundle
        return found, lambda: None
    key = load_public_key(offered)
    known = store.trusted.trust().key_ids
    if known and key.keyid not in known:
        how = (
            "edgekit trust install a trust file that has it"
            if installed
            else f"copy {offered} to {store.root / 'trust'}"
        )
        raise InputError(f"{store.root}: trusts other keys already; to add this one, {how}")
    if known:
        return store.trusted.trust(), lambda: None
    return bare([key]), lambda: store.trusted.keep_key(offered)


def _older(store: Store, verified: Verified, trust: Trust) -> Verified | None:
    """None for a release that is not older than what was deployed; of an older one what serves, or
    can be mended by it.

    Raises Refused if that is nothing.
    """
    release = verified.release
    floor = store.trusted.floor(release.model, trust)
    if release.counter >= floor:
        return None
    pointer = store.pointers.read_sound(release.model)
    held = pointer.slots() if pointer else {}
    wanted = {
        slot.manifest
        for role, slot in held.items()
        if role == "current"
        or (role != "staged" and rot_of(store.slot_folder(release.model, slot), slot))
    }
    if here := [item for item in verified.variants if item.descriptor.digest in wanted]:
        return replace(verified, variants=tuple(here))
    raise Refused(
        f"{release.model} {release.version} has the release counter {release.counter}, and {floor}"
        " was deployed here before; what served before comes back with: edgekit rollback"
    )


def pick_variant(verified: Verified, policy: Policy, where: Path | None) -> Picked:
    """The first variant that this device can run and that its policy lets serve, or else lets be
    staged.

    Raises Misfit, or Refused where it is the policy that is in the way, with each variant's reason.
    """
    machine = detect_machine()
    misfits, refused, staged = [], [], None
    for variant in verified.variants:
        name = variant.slot.variant
        if reason := misfit(variant, machine):
            misfits.append(f"{name}: {reason}")
            continue
        short = list(shortfalls(policy, variant, machine))
        if not short:
            return Picked(variant, "")
        refused.append(f"{name}: {short[0].text}")
        if (
            staged is None
            and policy.evidence.unmeasured == "stage"
            and all(item.is_unmeasured for item in short)
        ):
            staged = Picked(variant, short[0].text)
    if staged:
        return staged
    said = f"{verified.release.model} {verified.release.version}"
    if refused:
        raise Refused(f"{said} misses {where}: {'; '.join(refused)}")
    raise Misfit(f"{said} does not fit this device: {'; '.join(misfits)}")


def misfit(variant: VerifiedVariant, machine: Machine) -> str | None:
    """Why this device can't run a variant, or None."""
    return _other_machine(variant.slot, machine) or _other_engine(variant.slot)


def _other_machine(slot: Slot, machine: Machine) -> str | None:
    if slot.architecture != machine.architecture:
        return f"is for {slot.architecture}, and this is {machine.architecture}"
    if not set(slot.isa) <= set(machine.isa):
        return f"needs a CPU with {', '.join(sorted(set(slot.isa) - set(machine.isa)))}"
    if (device := accelerator(slot.setting)) and device not in machine.accelerators:
        return f"runs on {device}, which this device does not have"
    if machine.memory_bytes < memory_need(slot):
        return "does not fit into this device's memory"
    return None


def _other_engine(slot: Slot) -> str | None:
    installed = engine_version(slot.engine)
    if installed is None:
        return f"needs the engine {slot.engine}, which is not installed (edgekit doctor says how)"
    if _release_of(installed) < _release_of(slot.engine_version):
        return (
            f"was measured with {slot.engine} {slot.engine_version}, and an older one, {installed},"
            " is installed"
        )
    return None


def _release_of(version: str) -> tuple[int, ...]:
    """Its first two numbers: what engines promise to read their older files by."""
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(int(number) for number in numbers)


def memory_need(slot: Slot) -> int:
    """Bytes: what was measured, or else twice its files."""
    return slot.memory_bytes or 2 * sum(file.size for file in slot.files)


def _check_memory(store: Store, variant: VerifiedVariant, policy: Policy) -> None:
    """All models together, and the new one beside the old while they are switched; raises
    Misfit.
    """
    if policy.memory_mb is None:
        return
    needs: dict[str, int] = {}
    for pointer, slot, folder in store.named():
        if slot == pointer.current and slot.manifest != variant.descriptor.digest:
            with suppress(
                InputError
            ):  # rotten, so it can't be loaded either; perhaps this very deploy mends it
                needs[f"{pointer.model} {slot.version}"] = memory_need(read_slot(folder))
    new, held = memory_need(variant.slot), sum(needs.values())
    if new + held > policy.memory_mb * 1e6:
        beside = f" beside {', '.join(needs)} with {held / 1e6:.0f} MB" if needs else ""
        raise Misfit(
            f"{variant.slot.model} {variant.slot.version} needs {new / 1e6:.0f} MB of"
            f" memory{beside}, and the policy has memory_mb = {policy.memory_mb:g}"
        )


def _fill_slot(
    layout: Layout, store: Store, variant: VerifiedVariant, policy: Policy, tell: Tell
) -> Path:
    """Copy what the store lacks, and lay it out under its real names; returns the slot's folder."""
    tell("looking for what is there already", 0)
    missing = _missing(store, variant)
    if shortage(store.root, missing, policy):
        store.collect()  # which may take blobs that no slot links to, so look again
        missing = _missing(store, variant)
    _check_room(store, missing, policy)
    copied, total = 0, sum(item.size for item in missing)
    for item in missing:
        tell("copying", copied / max(total, 1))
        _copy_blob(layout, store, item)
        copied += item.size
    sync_folder(store.blobs.folder)
    return _make_slot(store, variant)


def _missing(store: Store, variant: VerifiedVariant) -> list[Descriptor]:
    """The layers to copy."""
    return [
        item
        for item in variant.layers.values()
        if not _is_sound(store.blobs.path(item.digest), item)
    ]


def _check_room(store: Store, missing: list[Descriptor], policy: Policy) -> None:
    """Raises InputError."""
    if short := shortage(store.root, missing, policy):
        raise InputError(f"{store.root}: {short}")


def _check_room_after(store: Store, folder: Path, policy: Policy) -> None:
    """Nobody can know before how large that becomes which a device compiles for itself; raises
    InputError.
    """
    if short := shortage(store.root, [], policy):
        compiled.forget(folder)
        raise InputError(f"{store.root}: no room for what was compiled: {short}")


def shortage(root: Path, missing: list[Descriptor], policy: Policy) -> str | None:
    """What the disk lacks for these layers, or None."""
    total, spare = sum(item.size for item in missing), round(policy.min_free_mb * 1e6)
    free = shutil.disk_usage(root).free
    if total + spare > free:
        return (
            f"the bundle needs {total} bytes, {spare} are to stay free (min_free_mb), and the disk"
            f" has {free}"
        )
    state = os.statvfs(root)
    wanted = len(missing) + SPARE_FILES
    if state.f_files and wanted > state.f_favail:
        return f"the bundle needs {wanted} inodes, and the disk has {state.f_favail} free"
    return None


def _is_sound(path: Path, item: Descriptor) -> bool:
    """Whether a blob is there and still what its name says: a rotten one is copied again."""
    return (
        path.is_file()
        and path.stat().st_size == item.size
        and describe_file(path, "").sha256 == item.digest
    )


def _copy_blob(layout: Layout, store: Store, item: Descriptor) -> None:
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


def _make_slot(store: Store, variant: VerifiedVariant) -> Path:
    folder = store.blobs.slot_folder(variant.slot.model, variant.descriptor.digest)
    if not folder.is_dir():
        with new_folder(folder) as work:
            for name, item in variant.layers.items():
                (work / name).hardlink_to(store.blobs.path(item.digest))
        return folder
    # deployed before, and perhaps serving: mend what has rotted
    for name, item in variant.layers.items():
        blob, path = store.blobs.path(item.digest), folder / name
        if not path.exists() or not path.samefile(blob):
            fresh = folder / f".{name}"
            fresh.unlink(missing_ok=True)
            fresh.hardlink_to(blob)
            fresh.replace(path)
    sync_folder(folder)
    return folder


def check_golden(
    folder: Path, slot_sha256: str, seconds: float = WatchPart().golden_seconds
) -> None:
    """Let the slot answer its golden samples in a process of its own; raises Misfit if it is not
    healthy.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-golden-") as scratch:
        log = Path(scratch) / "log"
        try:
            result = run_job(
                "edgekit.edge.model.health:golden_job",
                {"folder": str(folder.resolve()), "slot_sha256": slot_sha256},
                log,
                seconds=seconds,
                profile="golden",
            )
        except EdgekitError as error:
            message = error.reason
            raise Misfit(f"the model does not run here: {message}") from None
    if reason := ailment(read_slot(folder), msgspec.convert(result, Health)):
        raise Misfit(f"the model {reason}")


def _ref(variant: VerifiedVariant, counter: int) -> SlotRef:
    return SlotRef(
        manifest=variant.descriptor.digest,
        slot_sha256=variant.layers["slot.json"].digest,
        version=variant.slot.version,
        variant=variant.slot.variant,
        counter=counter,
    )


def _pointed(
    store: Store, verified: Verified, picked: Picked, policy: Policy, *, is_mended: bool
) -> Pointer:
    """Switch to the new slot, or stage it; nothing of both where an older one was only mended."""
    model = verified.release.model
    old = store.pointers.read_sound(model) or Pointer(model=model, current=None)
    if is_mended:
        return old
    if picked.lacks:
        new = msgspec.structs.replace(
            old, staged=Noted(slot=_ref(picked.variant, 0), reason=picked.lacks)
        )
        store.point(new)
        return new
    store.trusted.raise_floor(model, verified.key_ids, verified.release.counter)
    return _switched(store, old, _ref(picked.variant, verified.release.counter), policy)


def _switched(store: Store, old: Pointer, slot: SlotRef, policy: Policy) -> Pointer:
    """The slot serves from now on; if it is another than before, in a watch window at first."""
    if old.current is not None and old.current.manifest == slot.manifest:
        if old.given_up is None or old.given_up.slot.manifest != slot.manifest:
            return old
        # deployed again, it has all its starts again
        new = msgspec.structs.replace(old, given_up=None)
    else:
        new = msgspec.structs.replace(
            old.switched(slot, is_proven=policy.watch.seconds == 0),
            staged=old.staged if old.staged and old.staged.slot.manifest != slot.manifest else None,
            given_up=None,
        )
    store.watch_counts.forget(old.model)  # of an earlier time that this slot was current
    store.point(new)
    return new
