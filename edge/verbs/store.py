"""`edgekit fsck`, `gc` and `uninstall`."""

from pathlib import Path

import click

from edgekit.console import human_bytes, json_option, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE


@click.command()
@APPLIANCE
@json_option
def fsck(appliance: Path, as_json: bool) -> None:
    """Hash every file of an appliance again; a model that has rotted gives way to the one before
    it.

    Exit code 5: something is not what was deployed. Deploy its bundle again to mend it.

    \b
    Example:
      edgekit fsck /var/lib/edgekit
    """
    from edgekit.edge.appliance.maintenance import check_store

    found = check_store(Store(appliance))
    if as_json:
        print_json(found)
    else:
        for item in found.rotten:
            click.echo(
                f"rotten: {item.path} ({f'{item.model} {item.version}'.strip()}, {item.role})"
            )
        for name, version in found.fell_back.items():
            click.echo(f"{name}: back to {version}")
        click.echo(
            f"{appliance}: {found.files} files, {human_bytes(found.size_bytes)},"
            f" {len(found.rotten)} rotten"
        )
    if found.rotten:
        raise click.exceptions.Exit(5)


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
