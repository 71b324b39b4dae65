"""The verb `edgekit gc`."""

from pathlib import Path

import click

from edgekit.console import human_bytes, json_option, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE


@click.command()
@APPLIANCE
@json_option
def gc(appliance: Path, as_json: bool) -> None:
    """Remove what no model of an appliance needs any more. A deploy does so by itself.

    \b
    Example:
      edgekit gc /var/lib/edgekit
    """
    from edgekit.edge.appliance.maintenance import collect

    freed = collect(Store(appliance))
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        click.echo(f"{appliance}: {human_bytes(freed)} freed")
