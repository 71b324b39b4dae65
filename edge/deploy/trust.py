"""Who may sign what a deploy brings, and what its --trust adds to that for the next time."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgekit.edge.appliance.policy import policy_trust
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.envelope import load_public_key
from edgekit.edge.bundle.trust import Trust, bare, is_trust_file, read_trust, verdict
from edgekit.errors import InputError


class Settled(NamedTuple):
    """Who may sign, settled before a bundle is looked at.

    trust: who may sign.
    keep: writes what is new in it to the store, once the bundle has proved worth it.
    """

    trust: Trust
    keep: Callable[[], None]


def check_has_trust(store: Store, offered: Path | None) -> None:
    """Raise InputError for a deploy into a new folder that says nothing about who may sign."""
    if offered is None and policy_trust(store.root, store.policy()) is None:
        store.check()


def settle_trust(store: Store, offered: Path | None) -> Settled:
    """Settle who may sign; raises InputError, Refused.

    offered: a public key or a trust file (--trust), None for what the store trusts already.
    """
    if offered is None:
        return Settled(store.trusted.trust(), _keep_nothing)
    if is_trust_file(offered):
        return _settle_chain(store, offered)
    return _settle_key(store, offered)


def _keep_nothing() -> None:
    """Write nothing: the store has it all."""


def _settle_chain(store: Store, offered: Path) -> Settled:
    """Settle who may sign where a trust file is offered."""
    installed, chain = store.trusted.chain(), read_trust(offered)
    if installed is None and store.trusted.trust().release.keys:
        raise InputError(
            f"{store.root}: trusts keys already; to put a root of trust in their place: edgekit"
            " trust install"
        )
    found = verdict(chain, offered, installed)
    if installed is None:
        return Settled(found, lambda: store.trusted.keep_chain(chain))
    store.trusted.keep_chain(chain)  # a revocation holds whatever becomes of the bundle
    return Settled(found, _keep_nothing)


def _settle_key(store: Store, offered: Path) -> Settled:
    """Settle who may sign where a public key is offered."""
    installed, key = store.trusted.chain(), load_public_key(offered)
    trust = store.trusted.trust()
    if trust.key_ids and key.keyid not in trust.key_ids:
        how = (
            "edgekit trust install a trust file that has it"
            if installed
            else f"copy {offered} to {store.trusted.folder}"
        )
        raise InputError(f"{store.root}: trusts other keys already; to add this one, {how}")
    if trust.key_ids:
        return Settled(trust, _keep_nothing)
    return Settled(bare([key]), lambda: store.trusted.keep_key(offered))
