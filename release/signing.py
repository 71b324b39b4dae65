"""Makes private keys, loads them, and seals envelopes with them."""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from edgekit.edge.bundle.envelope import canonical, read_key
from edgekit.errors import InputError
from edgekit.files import sync_folder, write_durably


def make_key_pair(private: Path, passphrase: bytes | None) -> tuple[Path, str]:
    """Write a private key and NAME.pub beside it; return the latter and the key's id.

    The private key is PEM of mode 0600, encrypted if there is a passphrase.
    """
    public = private.with_suffix(".pub")
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path}: exists already; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    protection = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )
    handle = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(private.parent)
    write_durably(public, public_pem(key.public_key()))
    return public, SSlibKey.from_crypto(key.public_key()).keyid


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Write a public key as a PEM file."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def needs_passphrase(path: Path) -> bool:
    """Whether a private key is encrypted."""
    return b"ENCRYPTED PRIVATE KEY" in read_key(path)


def load_signer(path: Path, passphrase: bytes | None) -> CryptoSigner:
    """Load a private key; raises InputError."""
    try:
        key = serialization.load_pem_private_key(read_key(path), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            f"{path}: not a private key that this passphrase opens; edgekit keygen makes one"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: not an Ed25519 key; edgekit keygen makes one")
    return CryptoSigner(key)


def seal(payload: bytes, payload_type: str, signers: Sequence[CryptoSigner]) -> bytes:
    """Sign a payload: a DSSE envelope around it, as canonical JSON.

    Ed25519 is deterministic: equal payloads, equal bytes.
    """
    envelope = Envelope(payload, payload_type, {})
    for signer in sorted(signers, key=lambda item: item.public_key.keyid):
        envelope.sign(signer)
    return canonical(envelope)
