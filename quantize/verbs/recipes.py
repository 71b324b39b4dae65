"""`edgekit recipes`."""

import click
import msgspec
from rich.table import Table

from edgekit.console import json_option, print_json, print_table
from edgekit.quantize.recipes import RECIPES, missing_package


@click.command()
@json_option
def recipes(as_json: bool) -> None:
    """List what can be built, and what each recipe needs installed.

    \b
    Example:
      edgekit recipes --json
    """
    if as_json:
        print_json([msgspec.to_builtins(recipe) for recipe in RECIPES.values()])
        return
    table = Table("recipe", "format", "precision", "method", "engine", "tasks", "missing here")
    for recipe in RECIPES.values():
        missing = missing_package(recipe)
        table.add_row(
            recipe.name, recipe.format, recipe.precision, recipe.method, recipe.engine, ", ".join(recipe.tasks),
            str(missing) if missing else "-",
        )  # fmt: skip
    print_table(table)
