"""The verb `edgekit rollback`."""

from pathlib import Path

import click

from edgekit.console import json_option
from edgekit.edge.verbs.deploy import APPLIANCE, MODEL
from edgekit.edge.verbs.showing import show_pointer


@click.command()
@APPLIANCE
@MODEL
@json_option
def rollback(appliance: Path, model: str | None, as_json: bool) -> None:
    """Go back to the model that served before, at once.

    \b
    Example:
      edgekit rollback /var/lib/edgekit
    """
    from edgekit.edge.appliance.transitions import rollback as run

    show_pointer(run(appliance, model), as_json=as_json)
