"""The verb `edgekit deploy`, and options that verbs of an appliance share."""

from contextlib import suppress
from pathlib import Path

import click

from edgekit.console import json_option, progress_bar
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.showing import show_pointer, warn_of_age
from edgekit.errors import EdgekitError

APPLIANCE = click.argument("appliance", type=click.Path(path_type=Path))
MODEL = click.option("--model", help="Which model, if the appliance holds several.")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@APPLIANCE
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help=(
        "Public key, or trust file of `edgekit trust`, to trust from now on; for the first deploy"
        " into a folder."
    ),
)
@json_option
def deploy(bundle: Path, appliance: Path, trust: Path | None, as_json: bool) -> None:
    """Put a bundle into an appliance folder and switch to it.

    The signature is checked first, then the device's policy, then whether the model fits this
    device and answers its golden samples here. Until all of that holds, what served before goes on
    serving; and it comes back if the new model does not prove itself in its watch window. Exit code
    5: refused, 6: does not fit.

    \b
    Example:
      edgekit deploy tickets.tar /var/lib/edgekit --trust release.pub
    """
    from edgekit.edge.deploy.deploy import deploy as run

    with progress_bar() as progress:
        line = progress.add_task("deploying", total=100)
        pointer = run(
            bundle,
            appliance,
            trust,
            lambda stage, share: progress.update(line, description=stage, completed=100 * share),
        )
    with suppress(EdgekitError):  # it has switched: nothing that only warns may fail it
        warn_of_age(Store(appliance).trusted.trust())
    show_pointer(pointer, as_json=as_json)
