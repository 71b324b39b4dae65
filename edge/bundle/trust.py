"""Who may sign what, as The Update Framework writes it down: root keys, and two roles below them.

One file holds TUF metadata (https://theupdateframework.github.io/specification/v1.0.33): the chain
of roots from the first on, and one targets record that delegates to `release` (signs releases) and
to `evidence` (signs measurements). Keys are changed and revoked by a new version of a record,
signed by a threshold of root keys: a counter decides, no clock does. What TUF has for online
repositories, timestamp and snapshot, has no keys here; what is past its expiry only warns.

python-tuf verifies (its metadata API). Its client is not used: it wants a server and a clock, and
loses its store when the power is cut while it writes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import Key, SSlibKey
from tuf.api.metadata import Metadata, Root, Targets, VerificationResult

from edgekit.edge.bundle.envelope import Signers, load_public_key
from edgekit.errors import InputError, Refused
from edgekit.nouns import Noun, Unreadable, read_json

RoleName = Literal["release", "evidence"]

ROLES: tuple[RoleName, ...] = ("release", "evidence")
MAX_ROOTS = 256
MAX_BYTES = 8 << 20
MAX_NUMBER = 1 << 53
FLAGS = ("consistent_snapshot", "terminating")
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Who may sign releases, and who evidence.

    release: keys of that role.
    evidence: keys of that role.
    version: version of root and targets; None for bare keys, which nobody can revoke.
    expires: day by which the trust file was to be renewed.
    """

    release: Signers
    evidence: Signers
    version: tuple[int, int] | None = None
    expires: datetime = NEVER

    def overdue(self, now: datetime) -> str:
        """Return a warning if the trust file is past its day, else "".

        Nothing else may follow from it: a device's clock can be wrong.
        """
        if now <= self.expires:
            return ""
        return (
            f"the trust file was to be renewed by {self.expires:%Y-%m-%d}, says this device's clock"
            f" ({now:%Y-%m-%d}); nothing stops for that; renew it with: edgekit trust update"
        )

    @property
    def key_ids(self) -> set[str]:
        """Return the ids of the keys that may sign releases."""
        return {key.keyid for key in self.release.keys}


def bare(keys: Sequence[Key], evidence_keys: Sequence[Key] = ()) -> Trust:
    """Trust any of the keys alone: `keys` for both roles, `evidence_keys` for evidence only."""
    return Trust(release=Signers(keys=tuple(keys)), evidence=Signers(keys=(*keys, *evidence_keys)))


def open_trust(path: Path, evidence_keys: Sequence[Path] = ()) -> Trust:
    """Read who may sign from a public key or a trust file; raises InputError, Refused.

    evidence_keys: public keys that may sign evidence beside that key.
    """
    if is_trust_file(path):
        if evidence_keys:
            raise InputError(
                f"--evidence-trust {evidence_keys[0]}: {path} is a trust file, and names itself who"
                " may sign evidence; add the key there: edgekit trust update --evidence KEY.pub"
            )
        return verdict(read_trust(path), path, None)
    return bare([load_public_key(path)], [load_public_key(item) for item in evidence_keys])


def is_trust_file(path: Path) -> bool:
    """Whether a file is JSON rather than a key in PEM form."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"{"


class TrustFile(Noun, frozen=True, kw_only=True):
    """The file trust.json: TUF metadata as JSON objects.

    roots: every version of the root, from the first on.
    targets: newest version of targets.
    """

    roots: list[dict[str, Any]]
    targets: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A trust file that was read; `verdict` says whether it holds.

    roots: every version of the root, from the first on.
    targets: newest version of targets.
    """

    roots: tuple[Metadata[Root], ...]
    targets: Metadata[Targets]

    @property
    def version(self) -> tuple[int, int]:
        """Return the versions of the newest root and of targets."""
        return self.roots[-1].signed.version, self.targets.signed.version

    def to_json(self) -> bytes:
        """Write it as a trust file."""
        roots = [root.to_dict() for root in self.roots]
        return msgspec.json.format(
            TrustFile(roots=roots, targets=self.targets.to_dict()).to_json(), indent=1
        )


def read_trust(path: Path) -> Chain:
    """Read a trust file without judging it; raises InputError, Refused."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; edgekit trust init makes one") from None
    if len(data) > MAX_BYTES:
        raise Refused(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        file = read_json(data, TrustFile)
        _check_values(json.loads(data, object_pairs_hook=_once), path)
        roots = tuple(Metadata[Root].from_dict(item) for item in file.roots)
        targets = Metadata[Targets].from_dict(file.targets)
    except Refused:
        raise
    except Unreadable as error:
        raise Refused(f"{path}: not what edgekit trust writes: {error}") from None
    except Exception as error:  # noqa: BLE001 - hostile JSON; from_dict raises whatever it leads it into
        raise Refused(f"{path}: not TUF metadata ({type(error).__name__})") from None
    chain = Chain(roots=roots, targets=targets)
    _check_shape(chain, path)
    return chain


def _check_shape(chain: Chain, path: Path) -> None:
    """Check what must hold whoever signed it; raises Refused.

    Types, versions in sequence, each key once and under its own id.
    """
    if not 0 < len(chain.roots) <= MAX_ROOTS:
        raise Refused(f"{path}: has {len(chain.roots)} roots, and may have 1 to {MAX_ROOTS}")
    if not all(isinstance(root.signed, Root) for root in chain.roots) or not isinstance(
        chain.targets.signed, Targets
    ):
        raise Refused(f"{path}: a record of another kind than its place says")
    if [root.signed.version for root in chain.roots] != list(range(1, len(chain.roots) + 1)):
        raise Refused(f"{path}: the versions of its roots are not 1, 2, ...")
    records: list[Metadata[Any]] = [*chain.roots, chain.targets]
    for record in records:
        if record.unrecognized_fields or any(
            item.unrecognized_fields for item in record.signatures.values()
        ):
            raise Refused(f"{path}: says something outside of what is signed")
    delegations = chain.targets.signed.delegations
    if delegations is None or set(delegations.roles or ()) != set(ROLES):
        raise Refused(f"{path}: its targets must delegate to {' and '.join(ROLES)}")
    _check_contents(chain, delegations.keys, path)


def _check_contents(chain: Chain, role_keys: dict[str, Key], path: Path) -> None:
    """Refuse what edgekit gives no meaning to, and a key that is there twice."""
    if chain.targets.signed.targets or any(
        root.signed.roles[name].keyids for root in chain.roots for name in ("timestamp", "snapshot")
    ):
        raise Refused(f"{path}: says something that edgekit does not")
    for keys in (*(root.signed.keys for root in chain.roots), role_keys):
        for identity, key in keys.items():
            if not _is_own(identity, key):
                raise Refused(
                    f"{path}: {identity[:16]} is not the id of an Ed25519 key as edgekit writes it"
                )


def _is_own(identity: str, key: Key) -> bool:
    """Whether a key stands under its own id, in its one spelling.

    Under another id it would count twice.
    """
    try:
        bare_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(key.keyval["public"])))
    except (KeyError, ValueError):
        return False
    made = SSlibKey.from_crypto(bare_key)
    return (made.keyid, made.to_dict()) == (identity, key.to_dict())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of keys that are all different; raises ValueError."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _check_values(value: object, path: Path, name: str = "") -> None:
    """Refuse numbers that not every reader has, and true and false where TUF has none.

    Numbers must be whole and below 2^53.
    """
    is_flag = isinstance(value, bool)
    if isinstance(value, float) or (is_flag and name not in FLAGS):
        raise Refused(f"{path}: {name} = {value}: not a whole number")
    if isinstance(value, int) and not is_flag and not 0 <= value < MAX_NUMBER:
        raise Refused(f"{path}: {name} = {value}: out of range")
    for key, item in value.items() if isinstance(value, dict) else ():
        _check_values(item, path, key)
    for item in value if isinstance(value, list) else ():
        _check_values(item, path, name)


def _signed(record: Metadata[Any]) -> tuple[bytes, Any]:
    return record.signed_bytes, record.signatures


def _verdicts(chain: Chain) -> Iterator[tuple[str, VerificationResult]]:
    """Judge every signature that must be there.

    Each root is signed by its own keys and by those before it, targets by the newest root.
    """
    for number, root in enumerate(chain.roots):
        said = _signed(root)
        yield (
            f"root {number + 1}",
            root.signed.get_verification_result("root", *said),
        )
        if number:
            before = chain.roots[number - 1].signed
            yield (
                f"root {number + 1}, by the keys before it",
                before.get_verification_result("root", *said),
            )
    targets = chain.targets
    yield (
        f"targets {targets.signed.version}",
        chain.roots[-1].signed.get_verification_result("targets", *_signed(targets)),
    )


def missing(chain: Chain) -> list[str]:
    """List what lacks signatures yet, such as "root 2: signed by 1 of 2"; empty if nothing does."""
    return [
        f"{what}: signed by {len(result.signed)} of {result.threshold}"
        for what, result in _verdicts(chain)
        if not result
    ]


def verdict(chain: Chain, where: Path, installed: Chain | None) -> Trust:
    """Say who may sign what from now on; raises Refused.

    installed: what the device trusts already. The new chain must go on from it, and no version may
    be lower: a revoked key does not come back by an old file.
    """
    lacking = missing(chain)
    if lacking:
        raise Refused(f"{where}: {lacking[0]}")
    if installed is not None:
        known, offered = installed.roots, chain.roots[: len(installed.roots)]
        if [root.signed_bytes for root in known] != [root.signed_bytes for root in offered]:
            raise Refused(f"{where}: does not go on from the root that this device trusts")
        if chain.targets.signed.version < installed.targets.signed.version:
            raise Refused(
                f"{where}: older than what this device trusts (targets"
                f" {chain.targets.signed.version}, here {installed.targets.signed.version})"
            )
        is_same = chain.targets.signed_bytes == installed.targets.signed_bytes
        if chain.targets.signed.version == installed.targets.signed.version and not is_same:
            raise Refused(
                f"{where}: another targets record under a version that this device knows already"
            )
    return Trust(
        release=_signers(chain.targets.signed, "release"),
        evidence=_signers(chain.targets.signed, "evidence"),
        version=chain.version,
        expires=chain.targets.signed.expires,
    )


def _signers(targets: Targets, name: RoleName) -> Signers:
    assert targets.delegations is not None and targets.delegations.roles is not None  # noqa: S101,PT018 - checked by now
    role = targets.delegations.roles[name]
    keys = targets.delegations.keys
    return Signers(
        keys=tuple(keys[item] for item in role.keyids if item in keys), threshold=role.threshold
    )


def root_keys(chain: Chain) -> list[Key]:
    """Return the keys of the newest root."""
    newest = chain.roots[-1].signed
    return [newest.keys[item] for item in newest.roles["root"].keyids]


def root_threshold(chain: Chain) -> int:
    """Return how many keys of the newest root must sign a change."""
    return chain.roots[-1].signed.roles["root"].threshold


def roles_of(chain: Chain) -> tuple[Signers, Signers]:
    """Return the roles release and evidence as the file has them; nothing is judged."""
    return _signers(chain.targets.signed, "release"), _signers(chain.targets.signed, "evidence")
