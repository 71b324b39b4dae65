"""`edgekit keygen`."""

from pathlib import Path

import click

from edgekit.console import json_option, print_json
from edgekit.release.signing import make_key_pair
from edgekit.release.verbs.options import PASSPHRASE_FILE, read_passphrase


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
