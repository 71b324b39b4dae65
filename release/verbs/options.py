"""Options for private keys that several verbs share, and how a private key is opened."""

from collections.abc import Callable
from pathlib import Path

import click
from securesystemslib.signer import CryptoSigner

from edgekit.edge.verbs.options import FILE, F
from edgekit.errors import InputError
from edgekit.release.signing import load_signer, needs_passphrase

KEY = click.option(
    "--key",
    "keys",
    type=FILE,
    multiple=True,
    required=True,
    help=(
        "Private key from `edgekit keygen`; more than one where the devices ask for several"
        " signatures."
    ),
)
PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=FILE, help="A file whose first line is the passphrase."
)
OUT_BUNDLE = click.option(
    "--out", type=FILE, required=True, help="Folder to make, or a file ending in .tar."
)


def evidence_key_option(default: str = "", *, required: bool = False) -> Callable[[F], F]:
    """Make `--evidence-key FILE`, a private key; `default` says whose it is without one."""
    text = "Private key of the role that vouches for what was measured."
    shown = f"{text}  [default: {default}]" if default else text
    return click.option("--evidence-key", type=FILE, required=required, help=shown)


def read_passphrase(path: Path) -> bytes:
    """Read the first line of a file; raises InputError."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (--passphrase-file)") from None
    if not lines or not lines[0]:
        raise InputError(f"{path}: its first line is empty, and must be the passphrase")
    return lines[0]


def load_with_passphrase(key: Path, passphrase_file: Path | None) -> CryptoSigner:
    """Load a private key, with its passphrase from the file or from the person at the keyboard."""
    passphrase = None
    if needs_passphrase(key):
        if passphrase_file:
            passphrase = read_passphrase(passphrase_file)
        else:
            passphrase = str(
                click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
            ).encode()
    return load_signer(key, passphrase)
