"""The verb `edgekit fsck`."""

from pathlib import Path

import click

from edgekit.console import human_bytes, json_option, leave, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE


@click.command()
@APPLIANCE
@json_option
def fsck(appliance: Path, as_json: bool) -> None:
    """Hash every file of an appliance again; a rotten model gives way to the one before it.

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
        leave(5)
