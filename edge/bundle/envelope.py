"""DSSE envelopes and the public keys that they are checked with (securesystemslib does both)."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, SSlibKey

from edgekit.errors import InputError, Refused


@dataclass(frozen=True, kw_only=True)
class Signers:
    """The keys of a role, and how many of them must sign.

    keys: public keys, each once.
    threshold: number of them that must sign.
    """

    keys: tuple[Key, ...]
    threshold: int = 1

    def shown(self) -> dict[str, object]:
        """Return it as `--json` shows it."""
        return {"keys": [key.keyid for key in self.keys], "threshold": self.threshold}


def load_public_key(path: Path) -> Key:
    """Load a public key; raises InputError."""
    try:
        key = serialization.load_pem_public_key(read_key(path))
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(
            f"{path}: not a public key in PEM form; edgekit keygen makes one (NAME.pub)"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path}: not an Ed25519 key; edgekit keygen makes one")
    return SSlibKey.from_crypto(key)


def read_key(path: Path) -> bytes:
    """Read the bytes of a key's file; raises InputError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such key; make one with: edgekit keygen {path.stem}"
        ) from None


def canonical(envelope: Envelope) -> bytes:
    """Write an envelope in its one JSON form."""
    said = envelope.to_dict()
    signatures = [{"keyid": item["keyid"], "sig": item["sig"]} for item in said["signatures"]]
    said["signatures"] = sorted(signatures, key=lambda item: item["keyid"])
    return json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def unseal_if_trusted(data: bytes, payload_type: str, signers: Signers, what: str) -> bytes | None:
    """Open an envelope: its payload, or None where too few of the role signed it.

    Raises Refused if it is no envelope.
    """
    envelope = _open(data, payload_type, what)
    return envelope.payload if len(_signed_by(envelope, signers)) >= signers.threshold else None


def unseal(
    data: bytes, payload_type: str, signers: Signers, what: str
) -> tuple[bytes, tuple[str, ...]]:
    """Open an envelope: its payload, and the ids of the role's keys that signed it.

    Raises Refused if it is no envelope, or too few of the role signed it.
    """
    envelope = _open(data, payload_type, what)
    if not signers.keys:
        raise Refused(f"{what}: no key is trusted here yet; name one with --trust KEY.pub")
    accepted = _signed_by(envelope, signers)
    if len(accepted) < signers.threshold:
        wanted = "a trusted key" if signers.threshold == 1 else f"{signers.threshold} trusted keys"
        raise Refused(f"{what}: not signed by {wanted}")
    return envelope.payload, accepted


def _signed_by(envelope: Envelope, signers: Signers) -> tuple[str, ...]:
    """Return the ids of all keys of the role that signed.

    They are asked one by one, since asked together the search ends at the threshold.
    """
    found = set()
    for key in signers.keys:
        with suppress(VerificationError, ValueError):
            envelope.verify([key], 1)
            found.add(key.keyid)
    return tuple(sorted(found))


def peek(data: bytes, payload_type: str, what: str) -> bytes:
    """Return the payload of an envelope, whoever signed it: for looking, never for deciding.

    Raises Refused if it is no envelope.
    """
    return _open(data, payload_type, what).payload


def _open(data: bytes, payload_type: str, what: str) -> Envelope:
    try:
        envelope = Envelope.from_dict(cast(dict[str, Any], json.loads(data)))
        is_same = canonical(envelope) == data
    except Exception as error:  # noqa: BLE001 - hostile bytes; from_dict raises whatever they lead it into
        raise Refused(f"{what}: not a signature envelope ({type(error).__name__})") from None
    if envelope.payload_type != payload_type:
        raise Refused(f"{what}: signs something else than {payload_type}")
    if not is_same:
        raise Refused(f"{what}: not in canonical form")
    return envelope
