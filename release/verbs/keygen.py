"""`edgekit keygen`."""

from pathlib import Path

import click
from securesystemslib.signer import CryptoSigner

from edgekit.console import json_option, print_json
from edgekit.errors import InputError
from edgekit.release.signing import load_signer, make_key_pair, needs_passphrase

PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="A file whose first line is the passphrase.",
)


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
@PASSPHRASE_FILE
@click.option("--no-passphrase", is_flag=True, help="Leave the private key unprotected on disk.")
@json_option
def keygen(name: Path, passphrase_file: Path | None, no_passphrase: bool, as_json: bool) -> None:
    """Make an Ed25519 key pair: NAME.key signs bundles, NAME.pub goes to the appliances.

    \b
    Example:
      edgekit keygen release
    """
    if no_passphrase:
        passphrase = b""
    elif passphrase_file:
        passphrase = read_passphrase(passphrase_file)
    else:
        text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
        passphrase = text.encode()
    private = name.with_name(f"{name.name.removesuffix('.key')}.key")
    public, identity = make_key_pair(private, passphrase or None)
    if as_json:
        print_json({"private": str(private), "public": str(public), "key_id": identity})
    else:
        click.echo(
            f"{private}  keep it secret\n{public}  give it to the appliances\nkey id {identity}"
        )


def read_passphrase(path: Path) -> bytes:
    """The first line of a file; raises InputError."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (--passphrase-file)") from None
    if not lines or not lines[0]:
        raise InputError(f"{path}: its first line is empty, and must be the passphrase")
    return lines[0]


def load_with_passphrase(key: Path, passphrase_file: Path | None) -> CryptoSigner:
    """A private key, with its passphrase from the file or from the person at the keyboard."""
    passphrase = None
    if needs_passphrase(key):
        if passphrase_file:
            passphrase = read_passphrase(passphrase_file)
        else:
            passphrase = str(
                click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
            ).encode()
    return load_signer(key, passphrase)
