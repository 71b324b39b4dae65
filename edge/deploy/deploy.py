"""Deploying: verdict, plan, fit, copy, last compile step, golden samples, switch.

Each step is undone if the next one fails, and what served before goes on serving.
"""

from pathlib import Path

from edgekit.edge.appliance.pointer import Noted, Pointer, SlotRef
from edgekit.edge.appliance.policy import Policy, policy_file
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.layout import Layout, open_layout
from edgekit.edge.bundle.verify import Verified, VerifiedVariant, verify
from edgekit.edge.deploy.fit import check_memory, shortage
from edgekit.edge.deploy.golden import check_golden
from edgekit.edge.deploy.install import fill_slot
from edgekit.edge.deploy.plan import Plan, Repair, Stage, admit, make_plan
from edgekit.edge.deploy.trust import check_has_trust, settle_trust
from edgekit.edge.model import device_compile
from edgekit.errors import InputError
from edgekit.job import Progress


def deploy(bundle: Path, root: Path, trust: Path | None, tell: Progress) -> Pointer:
    """Put a bundle's best fitting variant into an appliance folder and switch to it, or stage it.

    bundle: a file or folder.
    root: the appliance folder.
    trust: a public key or trust file to trust from now on; None for what is trusted already.
    tell: hears of each step, and the share of it that is done.

    Raises Refused (not what a trusted key signed, older than what was deployed, or against the
    policy), Misfit (not for this device, or wrong answers here), InputError, Busy. The model that
    served before goes on serving in every one of these cases.
    """
    layout, store = open_layout(bundle), Store(root)
    check_has_trust(store, trust)
    with store.changing("edgekit deploy"):
        settled = settle_trust(store, trust)
        tell("checking the signature", 0)
        verified = verify(layout, settled.trust)
        admitted = admit(store, verified, settled.trust)
        policy = store.policy()
        plan = make_plan(admitted, policy, policy_file(root))
        check_memory(store, plan.variant, policy)
        try:
            _install(layout, store, plan.variant, policy, tell)
        except BaseException:
            store.collect()  # what no pointer names, so also what we have just copied
            raise
        settled.keep()
        with store.switching():
            pointer = _switch(store, plan, verified, policy)
        store.collect()
    return pointer


def _install(
    layout: Layout, store: Store, variant: VerifiedVariant, policy: Policy, tell: Progress
) -> None:
    """Make the slot of a variant, and let it show that it is healthy here; raises Misfit."""
    folder = fill_slot(layout, store, variant, policy, tell)
    digest = variant.layers["slot.json"].digest
    if device_compile.needs_device_compile(variant.slot):
        tell("compiling for this device", 0)
        device_compile.compile_slot(folder, digest, tell)
        _check_room_after(store, folder, policy)
    tell("checking the golden samples", 0)
    check_golden(folder, digest, policy.watch.golden_seconds)


def _check_room_after(store: Store, folder: Path, policy: Policy) -> None:
    """Raise InputError where a device compile, whose size nobody knows before, filled the disk."""
    if short := shortage(store.root, [], policy):
        device_compile.forget(folder)
        raise InputError(f"{store.root}: no room for what was compiled: {short}")


def _switch(store: Store, plan: Plan, verified: Verified, policy: Policy) -> Pointer:
    """Let the installed slot serve, or note it as staged; a repair changes no pointer."""
    release = verified.release
    old = store.pointers.read_sound(release.model) or Pointer(model=release.model, current=None)
    if isinstance(plan, Repair):
        return old
    if isinstance(plan, Stage):
        new = old.with_staged(Noted(slot=_slot_ref(plan.variant, 0), reason=plan.lacks))
        store.point(new)
        return new
    store.trusted.raise_floor(release.model, verified.key_ids, release.counter)
    return _serve(store, old, _slot_ref(plan.variant, release.counter), policy)


def _serve(store: Store, old: Pointer, slot: SlotRef, policy: Policy) -> Pointer:
    """Let a slot serve from now on; one that did not serve before is watched at first."""
    if old.current is not None and old.current.manifest == slot.manifest:
        if not old.is_given_up:
            return old
        new = old.taken_back()
    else:
        is_still_staged = old.staged is not None and old.staged.slot.manifest != slot.manifest
        new = (
            old.switched(slot, is_proven=policy.watch.seconds == 0)
            .with_staged(old.staged if is_still_staged else None)
            .taken_back()
        )
    store.watch_counts.forget(old.model)  # of an earlier time that this slot was current
    store.point(new)
    return new


def _slot_ref(variant: VerifiedVariant, counter: int) -> SlotRef:
    """Return what a pointer says of a variant's slot."""
    return SlotRef(
        manifest=variant.descriptor.digest,
        slot_sha256=variant.layers["slot.json"].digest,
        version=variant.slot.version,
        variant=variant.slot.variant,
        counter=counter,
    )
