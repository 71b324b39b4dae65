"""`edgekit deploy`, `rollback` and `status`."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from edgekit.console import json_option, print_json, print_table, progress_bar
from edgekit.edge.appliance.pointer import Pointer, SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.trust import NEVER, Trust
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
        _warn_of_age(Store(appliance).trusted.trust())
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
    from edgekit.edge.appliance.transitions import rollback as run

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
    pointers = store.pointers.sound()
    damaged = {name: str(store.pointers.file(name)) for name in store.pointers.damaged()}
    if as_json:
        print_json(
            {"appliance": str(appliance), **_trust(store), "models": pointers, "damaged": damaged}
        )
        return
    _trust(store)
    table = Table(
        "model", "serves", "variant", "state", "before", title=str(appliance), title_justify="left"
    )
    for pointer in pointers:
        slot = pointer.current
        state = "in its watch window" if pointer.is_watched else "proven" if slot else "only staged"
        table.add_row(
            pointer.model,
            slot.version if slot else "-",
            slot.variant if slot else "-",
            state,
            _name(pointer.previous),
        )
    for name in damaged:
        table.add_row(name, "?", "?", "its pointer is damaged", "?")
    print_table(table)
    for path in damaged.values():
        click.echo(f"{path}: damaged; deploy the model again, or: edgekit uninstall")
    for pointer in pointers:
        for what, noted in (("is staged", pointer.staged), ("was given up", pointer.given_up)):
            if noted:
                click.echo(f"{pointer.model} {_name(noted.slot)} {what}: {noted.reason}")


def _trust(store: Store) -> dict[str, object]:
    """Who may sign, for --json, warned of what is old; what serves goes on serving if that can't be
    told.
    """
    try:
        trust = store.trusted.trust()
    except EdgekitError as error:
        click.echo(f"warning: nothing can be deployed: {error}", err=True)
        return {"trust_version": None, "trust_expires": None, "trust": None}
    _warn_of_age(trust)
    return {
        "trust_version": trust.version,
        "trust_expires": None if trust.expires == NEVER else trust.expires,
        "trust": {"release": trust.release.shown(), "evidence": trust.evidence.shown()},
    }


def _warn_of_age(trust: Trust) -> None:
    if said := trust.overdue(datetime.now(UTC)):
        click.echo(f"warning: {said}", err=True)


def _name(slot: SlotRef | None) -> str:
    return f"{slot.version} ({slot.variant})" if slot else "-"


def _show(pointer: Pointer, *, as_json: bool) -> None:
    if as_json:
        print_json(pointer)
        return
    if pointer.current:
        before = f"; before: {pointer.previous.version}" if pointer.previous else ""
        click.echo(f"{pointer.model} {_name(pointer.current)} serves now{before}")
    if pointer.staged:
        click.echo(
            f"{pointer.model} {_name(pointer.staged.slot)} is staged, to be profiled and not to"
            f" serve: {pointer.staged.reason}"
        )
