"""`edgekit report`."""

from pathlib import Path

import click

from edgekit.console import json_option, print_json, print_table
from edgekit.edge.builds import read_build
from edgekit.nouns import Build
from edgekit.profiles.report import build_as_json, build_as_table, notes


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="build")
@json_option
def report(folder: Path, as_json: bool) -> None:
    """Show a finished build: every variant, which was chosen, and why.

    \b
    Example:
      edgekit report build/
    """
    show_build(read_build(folder), as_json=as_json)


def show_build(build: Build, *, as_json: bool) -> None:
    """The same for `edgekit build` and `edgekit report`."""
    if as_json:
        print_json(build_as_json(build))
        return
    print_table(build_as_table(build))
    for line in notes(build):
        click.echo(line)
