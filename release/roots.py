"""Writes trust files: the first version, the next one, and the signatures of root keys."""

from collections.abc import Sequence
from datetime import datetime

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Role, Root, Targets

from edgekit.edge.bundle.envelope import Signers
from edgekit.edge.bundle.trust import NEVER, ROLES, Chain
from edgekit.errors import InputError


def first_chain(
    roots: Sequence[Key],
    threshold: int,
    release: Signers,
    evidence: Signers,
    signers: Sequence[CryptoSigner],
    expires: datetime = NEVER,
) -> Chain:
    """Make version 1 of everything, signed by those `signers` that are at hand."""
    chain = Chain(
        roots=(_root(1, roots, threshold),), targets=_targets(1, release, evidence, expires)
    )
    return sign(chain, signers)


def next_chain(
    chain: Chain,
    roots: Sequence[Key] | None,
    threshold: int,
    release: Signers,
    evidence: Signers,
    signers: Sequence[CryptoSigner],
    expires: datetime | None = None,
) -> Chain:
    """Make the next version of targets, and of the root if `roots` changes it; sign both.

    signers: those at hand.
    expires: as before, where it is not given.
    """
    targets = chain.targets.signed
    older = chain.roots
    if roots is not None:
        older = (*older, _root(len(older) + 1, roots, threshold))
    renewed = _targets(targets.version + 1, release, evidence, expires or targets.expires)
    return sign(Chain(roots=older, targets=renewed), signers)


def sign(chain: Chain, signers: Sequence[CryptoSigner]) -> Chain:
    """Add signatures to the newest root and to targets, by those keys that may sign them.

    Raises InputError for a stranger's key.
    """
    newest = chain.roots[-1]
    before = chain.roots[-2].signed.keys if len(chain.roots) > 1 else {}
    for signer in signers:
        identity = signer.public_key.keyid
        if identity not in newest.signed.keys and identity not in before:
            raise InputError(f"key {identity[:16]} is no root key of this file")
        newest.sign(signer, append=True)
        if identity in newest.signed.keys:
            chain.targets.sign(signer, append=True)
    return chain


def _root(version: int, keys: Sequence[Key], threshold: int) -> Metadata[Root]:
    ids = [key.keyid for key in keys]
    if not 0 < threshold <= len(ids):
        raise InputError(f"--threshold {threshold}: there are {len(ids)} root keys")
    roles = {name: Role(ids, threshold) for name in ("root", "targets")}
    roles |= {name: Role([], 1) for name in ("timestamp", "snapshot")}
    return Metadata(
        Root(version=version, expires=NEVER, keys={key.keyid: key for key in keys}, roles=roles)
    )


def _targets(
    version: int, release: Signers, evidence: Signers, expires: datetime
) -> Metadata[Targets]:
    for name, signers in zip(ROLES, (release, evidence), strict=True):
        if not 0 < signers.threshold <= len(signers.keys):
            raise InputError(
                f"--{name}-threshold {signers.threshold}: there are {len(signers.keys)} keys"
            )
    roles: dict[str, DelegatedRole] = {
        name: DelegatedRole(
            name, [key.keyid for key in item.keys], item.threshold, True, paths=[f"{name}/*"]
        )
        for name, item in zip(ROLES, (release, evidence), strict=True)
    }
    keys = {key.keyid: key for item in (release, evidence) for key in item.keys}
    return Metadata(Targets(version=version, expires=expires, delegations=Delegations(keys, roles)))
