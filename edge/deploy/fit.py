"""The fit of a variant to a device: machine, engine, policy, memory, and room on the disk."""

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from edgekit.edge.appliance.policy import Policy, shortfalls
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.oci import Descriptor
from edgekit.edge.bundle.verify import Verified, VerifiedVariant
from edgekit.edge.engines import accelerator, engine_version
from edgekit.edge.model.slot import read_slot
from edgekit.errors import InputError, Misfit, Refused
from edgekit.nouns import Slot
from edgekit.targets.detect import Machine, detect_machine

SPARE_FILES = 16  # names that a deploy may need beside the model's own


class Fits(NamedTuple):
    """A variant that this device can run and that its policy lets serve.

    variant: the variant.
    """

    variant: VerifiedVariant


class OnlyStaged(NamedTuple):
    """A variant that this device can run and that its policy lets be profiled, not serve.

    variant: the variant.
    lacks: the line of the policy that keeps it from serving, and what is the case instead.
    """

    variant: VerifiedVariant
    lacks: str


def pick_variant(verified: Verified, policy: Policy, policy_file: Path | None) -> Fits | OnlyStaged:
    """Pick the first variant that fits and may serve, or else the first that may be staged.

    policy_file: where the policy is, for messages.

    Raises Misfit, or Refused where it is the policy that is in the way, with each variant's reason.
    """
    machine = detect_machine()
    misfits: list[str] = []
    refused: list[str] = []
    staged: OnlyStaged | None = None
    for variant in verified.variants:
        name = variant.slot.variant
        if reason := misfit(variant, machine):
            misfits.append(f"{name}: {reason}")
            continue
        short = list(shortfalls(policy, variant, machine))
        if not short:
            return Fits(variant)
        refused.append(f"{name}: {short[0].text}")
        if (
            staged is None
            and policy.evidence.unmeasured == "stage"
            and all(item.is_unmeasured for item in short)
        ):
            staged = OnlyStaged(variant, short[0].text)
    if staged:
        return staged
    said = f"{verified.release.model} {verified.release.version}"
    if refused:
        raise Refused(f"{said} misses {policy_file}: {'; '.join(refused)}")
    raise Misfit(f"{said} does not fit this device: {'; '.join(misfits)}")


def misfit(variant: VerifiedVariant, machine: Machine) -> str | None:
    """Return why this device can't run a variant, None if it can."""
    return _other_machine(variant.slot, machine) or _other_engine(variant.slot)


def _other_machine(slot: Slot, machine: Machine) -> str | None:
    """Return what the machine lacks, None if nothing."""
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
    """Return what is wrong with the installed engine, None if nothing."""
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
    """Return a version's first two numbers: engines read files of older ones by these."""
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(int(number) for number in numbers)


def memory_need(slot: Slot) -> int:
    """Return the memory that a slot needs, in bytes: measured, or else twice its files."""
    return slot.memory_bytes or 2 * sum(file.size for file in slot.files)


def check_memory(store: Store, variant: VerifiedVariant, policy: Policy) -> None:
    """Raise Misfit where the policy's memory does not hold all models that would serve.

    The new slot counts beside the one that it replaces: both are loaded while they are switched.
    """
    if policy.memory_mb is None:
        return
    needs: dict[str, int] = {}
    for pointer, slot, folder in store.named():
        if slot == pointer.current and slot.manifest != variant.descriptor.digest:
            # A rotten slot can't be loaded either; perhaps this very deploy mends it.
            with suppress(InputError):
                needs[f"{pointer.model} {slot.version}"] = memory_need(read_slot(folder))
    new, held = memory_need(variant.slot), sum(needs.values())
    if new + held > policy.memory_mb * 1e6:
        beside = f" beside {', '.join(needs)} with {held / 1e6:.0f} MB" if needs else ""
        raise Misfit(
            f"{variant.slot.model} {variant.slot.version} needs {new / 1e6:.0f} MB of"
            f" memory{beside}, and the policy has memory_mb = {policy.memory_mb:g}"
        )


def check_room(store: Store, missing: Sequence[Descriptor], policy: Policy) -> None:
    """Raise InputError where the disk has no room for the layers to copy."""
    if short := shortage(store.root, missing, policy):
        raise InputError(f"{store.root}: {short}")


def shortage(root: Path, missing: Sequence[Descriptor], policy: Policy) -> str | None:
    """Return what the disk lacks for the layers to copy, None if there is room."""
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
