"""`edgekit deploy`, `rollback` and `status`."""

from pathlib import Path

import click
from rich.table import Table

from edgekit.console import json_option, print_json, print_table, progress_bar
from edgekit.edge.store import Pointer, Store

APPLIANCE = click.argument("appliance", type=click.Path(path_type=Path))
MODEL = click.option("--model", help="Which model, if the appliance holds several.")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@APPLIANCE
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="Public key to trust from now on; for the first deploy into a folder.",
)
@json_option
def deploy(bundle: Path, appliance: Path, trust: Path | None, as_json: bool) -> None:
    """Put a bundle into an appliance folder and switch to it.

    The signature is checked first, then whether the model fits this device and answers its golden samples here. Until
    all of that holds, what served before goes on serving. Exit code 5: refused, 6: does not fit.

    \b
    Example:
      edgekit deploy tickets.tar /var/lib/edgekit --trust release.pub
    """
    from edgekit.edge.deploy import deploy as run

    with progress_bar() as progress:
        line = progress.add_task("deploying", total=100)
        pointer = run(
            bundle,
            appliance,
            trust,
            lambda stage, share: progress.update(line, description=stage, completed=100 * share),
        )
    _show(pointer, as_json=as_json)


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
    from edgekit.edge.deploy import rollback as run

    _show(run(appliance, model), as_json=as_json)


@click.command()
@APPLIANCE
@json_option
def status(appliance: Path, as_json: bool) -> None:
    """Show what an appliance folder holds: for each model what serves and what served before.

    \b
    Example:
      edgekit status /var/lib/edgekit --json
    """
    store = Store(appliance)
    store.check()
    pointers = [pointer for name in store.models() if (pointer := store.pointer(name))]
    if as_json:
        keys = [key.keyid for key in store.trusted_keys()]
        print_json({"appliance": str(appliance), "trusted_keys": keys, "models": pointers})
        return
    table = Table("model", "serves", "variant", "before", title=str(appliance), title_justify="left")
    for pointer in pointers:
        before = f"{pointer.previous.version} ({pointer.previous.variant})" if pointer.previous else "-"
        table.add_row(pointer.model, pointer.current.version, pointer.current.variant, before)
    print_table(table)


def _show(pointer: Pointer, *, as_json: bool) -> None:
    if as_json:
        print_json(pointer)
        return
    before = f"; before: {pointer.previous.version}" if pointer.previous else ""
    click.echo(f"{pointer.model} {pointer.current.version} ({pointer.current.variant}) serves now{before}")
