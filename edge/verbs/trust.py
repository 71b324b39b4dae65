"""`edgekit trust show` and `install`."""

from pathlib import Path

import click

from edgekit.console import json_option, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle import trust as chains
from edgekit.edge.bundle.envelope import Signers
from edgekit.edge.bundle.trust import Chain, read_trust
from edgekit.edge.verbs.options import APPLIANCE

FILE = click.argument("file", type=click.Path(path_type=Path))


@click.command()
@FILE
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show a trust file: its versions, keys and thresholds, and what it lacks.

    \b
    Example:
      edgekit trust show trust.json
    """
    tell(file, read_trust(file), as_json=as_json)


@click.command()
@FILE
@APPLIANCE
@json_option
def install(file: Path, appliance: Path, as_json: bool) -> None:
    """Let a device trust what the file says, if it goes on from what it trusts already.

    Bare keys are removed.

    \b
    Example:
      edgekit trust install trust.json /var/lib/edgekit
    """
    store, chain = Store(appliance), read_trust(file)
    with store.changing("edgekit trust"):
        chains.verdict(chain, file, store.trusted.chain())
        store.trusted.check_one_trust(has_root=True)
        store.trusted.keep_chain(chain)
    tell(file, chain, as_json=as_json)


def tell(file: Path, chain: Chain, *, as_json: bool) -> None:
    """Show what a trust file says, for people or as JSON."""
    release, evidence = chains.roles_of(chain)
    lacking, day = chains.missing(chain), chain.targets.signed.expires
    expires = None if day == chains.NEVER else f"{day:%Y-%m-%d}"
    roles = {
        "root": Signers(
            keys=tuple(chains.root_keys(chain)), threshold=chains.root_threshold(chain)
        ),
        "release": release,
        "evidence": evidence,
    }
    if as_json:
        said = {name: item.shown() for name, item in roles.items()}
        print_json(
            {
                "file": str(file),
                "version": chain.version,
                "expires": expires,
                "lacks": lacking,
                **said,
            }
        )
        return
    click.echo(f"{file}: root version {chain.version[0]}, targets version {chain.version[1]}")
    for name, item in roles.items():
        click.echo(f"{name}: {item.threshold} of {', '.join(key.keyid[:16] for key in item.keys)}")
    if expires:
        click.echo(f"to be renewed by {expires}")
    for text in lacking:
        click.echo(f"lacks signatures: {text}")
