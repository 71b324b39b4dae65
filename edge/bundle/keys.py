"""Ed25519 keys, and DSSE envelopes signed with them (securesystemslib does both)."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from edgekit.errors import InputError, Refused
from edgekit.files import sync_folder, write_durably


@dataclass(frozen=True, kw_only=True)
class Signers:
    """The keys of a role, and how many of them must sign."""

    keys: tuple[Key, ...]
    threshold: int = 1

    def shown(self) -> dict[str, object]:
        """As `--json` has it."""
        return {"keys": [key.keyid for key in self.keys], "threshold": self.threshold}


def make_key_pair(private: Path, passphrase: bytes | None) -> tuple[Path, str]:
    """Write `private` (PEM, mode 0600, encrypted if there is a passphrase) and NAME.pub; return the latter and the key id."""
    public = private.with_suffix(".pub")
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path}: exists already; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    protection = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    handle = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(private.parent)
    write_durably(public, public_pem(key.public_key()))
    return public, SSlibKey.from_crypto(key.public_key()).keyid


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The public key as a PEM file."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def needs_passphrase(path: Path) -> bool:
    """Whether a private key is encrypted."""
    return b"ENCRYPTED PRIVATE KEY" in _read(path)


def load_signer(path: Path, passphrase: bytes | None) -> CryptoSigner:
    """A private key; raises InputError."""
    try:
        key = serialization.load_pem_private_key(_read(path), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            f"{path}: not a private key that this passphrase opens; edgekit keygen makes one"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: not an Ed25519 key; edgekit keygen makes one")
    return CryptoSigner(key)


def load_public_key(path: Path) -> Key:
    """A public key; raises InputError."""
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(
            f"{path}: not a public key in PEM form; edgekit keygen makes one (NAME.pub)"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path}: not an Ed25519 key; edgekit keygen makes one")
    return SSlibKey.from_crypto(key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such key; make one with: edgekit keygen {path.stem}") from None


def seal(payload: bytes, payload_type: str, signers: Sequence[CryptoSigner]) -> bytes:
    """A DSSE envelope around `payload`, as canonical JSON. Ed25519 is deterministic: equal payloads, equal bytes."""
    envelope = Envelope(payload, payload_type, {})
    for signer in sorted(signers, key=lambda item: item.public_key.keyid):
        envelope.sign(signer)
    return _canonical(envelope)


def _canonical(envelope: Envelope) -> bytes:
    said = envelope.to_dict()
    signatures = [{"keyid": item["keyid"], "sig": item["sig"]} for item in said["signatures"]]
    said["signatures"] = sorted(signatures, key=lambda item: item["keyid"])
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def unseal_if_trusted(data: bytes, payload_type: str, signers: Signers, what: str) -> bytes | None:
    """The payload of an envelope that enough of the role signed, None if they did not; raises Refused if it is none."""
    envelope = _open(data, payload_type, what)
    return envelope.payload if len(_signed_by(envelope, signers)) >= signers.threshold else None


def unseal(data: bytes, payload_type: str, signers: Signers, what: str) -> tuple[bytes, tuple[str, ...]]:
    """The payload of an envelope that enough of the role signed, and the ids of those keys; raises Refused."""
    envelope = _open(data, payload_type, what)
    if not signers.keys:
        raise Refused(
            f"{what}: no key is trusted here yet; name one with --trust KEY.pub (or --key for verify)"
        )
    accepted = _signed_by(envelope, signers)
    if len(accepted) < signers.threshold:
        wanted = "a trusted key" if signers.threshold == 1 else f"{signers.threshold} trusted keys"
        raise Refused(f"{what}: not signed by {wanted}")
    return envelope.payload, accepted


def _signed_by(envelope: Envelope, signers: Signers) -> tuple[str, ...]:
    """The ids of all keys of the role that signed; asked one by one, since asked together the search ends at the threshold."""
    found = set()
    for key in signers.keys:
        with suppress(VerificationError, ValueError):
            envelope.verify([key], 1)
            found.add(key.keyid)
    return tuple(sorted(found))


def peek(data: bytes, payload_type: str, what: str) -> bytes:
    """The payload of an envelope, whoever signed it: for looking, never for deciding. Raises Refused if it is none."""
    return _open(data, payload_type, what).payload


def _open(data: bytes, payload_type: str, what: str) -> Envelope:
    try:
        envelope = Envelope.from_dict(cast(dict[str, Any], json.loads(data)))
        is_same = _canonical(envelope) == data
    except Exception as error:  # noqa: BLE001 - hostile bytes; from_dict raises whatever they lead it into
        raise Refused(f"{what}: not a signature envelope ({type(error).__name__})") from None
    if envelope.payload_type != payload_type:
        raise Refused(f"{what}: signs something else than {payload_type}")
    if not is_same:
        raise Refused(f"{what}: not in canonical form")
    return envelope
