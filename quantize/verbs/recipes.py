"""`edgekit recipes`."""

from typing import Any

import click
import msgspec
from rich.table import Table

from edgekit.console import json_option, print_json, print_table
from edgekit.quantize.recipes import ALL, RECIPES, Recipe, missing_package


@click.command()
@json_option
def recipes(as_json: bool) -> None:
    """List what can be built, and what each recipe needs installed.

    \b
    Example:
      edgekit recipes --json
    """
    if as_json:
        print_json([_described(recipe) for recipe in RECIPES.values()])
        return
    table = Table(
        "recipe", "precision", "method", "engine", "tasks", "needs to be made", "missing here"
    )
    for recipe in RECIPES.values():
        tasks = "all" if recipe.tasks == ALL else ", ".join(recipe.tasks)
        missing = missing_package(recipe)
        table.add_row(
            recipe.name,
            recipe.precision,
            recipe.method,
            recipe.engine,
            tasks,
            ", ".join(recipe.needs) or "-",
            str(missing) if missing else "-",
        )
    print_table(table)


def _described(recipe: Recipe) -> dict[str, Any]:
    missing = missing_package(recipe)
    return {**msgspec.to_builtins(recipe), "missing": str(missing) if missing else None}
