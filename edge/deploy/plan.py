"""The plan of a deploy for a verified bundle: install, repair, or stage one variant.

An older release than one that was activated here is taken for one thing only: to repair the files
of a slot that the store has. A variant that lacks a measurement is staged where the policy says so:
it can be profiled and does not serve.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from edgekit.edge.appliance.policy import Policy
from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import rot_of
from edgekit.edge.bundle.trust import Trust
from edgekit.edge.bundle.verify import Verified, VerifiedVariant
from edgekit.edge.deploy.fit import OnlyStaged, pick_variant
from edgekit.errors import Refused


@dataclass(frozen=True)
class Install:
    """A plan to let a variant serve.

    variant: what is installed.
    """

    variant: VerifiedVariant


@dataclass(frozen=True)
class Repair:
    """A plan to mend the files of a slot that the store has; no pointer changes.

    variant: what the slot was made of.
    """

    variant: VerifiedVariant


@dataclass(frozen=True)
class Stage:
    """A plan to install a variant that can be profiled and does not serve.

    variant: what is installed.
    lacks: the line of the policy that keeps it from serving, and what is the case instead.
    """

    variant: VerifiedVariant
    lacks: str


Plan = Install | Repair | Stage


class Admitted(NamedTuple):
    """A bundle whose age is no obstacle.

    verified: the bundle; of an older release with those variants only that repair something.
    is_older: whether a newer release was activated here, so that this one can only repair.
    """

    verified: Verified
    is_older: bool


def admit(store: Store, verified: Verified, trust: Trust) -> Admitted:
    """Let in a release that is not older than what was activated, or that repairs something here.

    Raises Refused for an older release that has nothing to repair.
    """
    release = verified.release
    floor = store.trusted.floor(release.model, trust)
    if release.counter >= floor:
        return Admitted(verified, is_older=False)
    repairable = _repairable(store, release.model)
    if here := [item for item in verified.variants if item.descriptor.digest in repairable]:
        return Admitted(replace(verified, variants=tuple(here)), is_older=True)
    raise Refused(
        f"{release.model} {release.version} has the release counter {release.counter}, and {floor}"
        " was deployed here before; what served before comes back with: edgekit rollback"
    )


def _repairable(store: Store, model: str) -> set[str]:
    """Return the manifests of the slot that serves, and of those before it that have rotted."""
    pointer = store.pointers.read_sound(model)
    return {
        slot.manifest
        for role, slot in (pointer.slots() if pointer else {}).items()
        if role == "current"
        or (role != "staged" and rot_of(store.slot_folder(model, slot), slot) is not None)
    }


def make_plan(admitted: Admitted, policy: Policy, policy_file: Path | None) -> Plan:
    """Pick the variant for this device and say what is to become of it; raises Misfit, Refused.

    policy_file: where the policy is, for messages.
    """
    picked = pick_variant(admitted.verified, policy, policy_file)
    if admitted.is_older:
        return Repair(picked.variant)
    if isinstance(picked, OnlyStaged):
        return Stage(picked.variant, picked.lacks)
    return Install(picked.variant)
