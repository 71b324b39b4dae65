"""The verb `edgekit uninstall`."""

from pathlib import Path

import click

from edgekit.console import human_bytes, json_option, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE


@click.command()
@APPLIANCE
@click.argument("model")
@json_option
def uninstall(appliance: Path, model: str, as_json: bool) -> None:
    """Remove a model from an appliance: what serves, what served before, what is staged.

    Its release counter stays, so that an older release does not come in by this door.

    \b
    Example:
      edgekit uninstall /var/lib/edgekit tickets
    """
    from edgekit.edge.appliance.maintenance import uninstall as run

    freed = run(Store(appliance), model)
    if as_json:
        print_json({"model": model, "freed_bytes": freed})
    else:
        click.echo(f"{model} is removed from {appliance}, {human_bytes(freed)} freed")
