"""`edgekit recipes`."""

from typing import Any

import click
import msgspec
from rich.table import Table

from edgekit.console import json_option, print_json, print_table
from edgekit.quantize.recipes import RECIPES, Recipe, missing_package
from edgekit.quantize.sources import SOURCES


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
        tasks = _tasks(recipe)
        missing = missing_package(recipe)
        table.add_row(
            recipe.name,
            recipe.precision,
            recipe.method,
            recipe.engine,
            "all" if tasks == list(SOURCES) else ", ".join(tasks),
            ", ".join(recipe.needs) or "-",
            str(missing) if missing else "-",
        )
    print_table(table)


def _described(recipe: Recipe) -> dict[str, Any]:
    missing = missing_package(recipe)
    return {
        **msgspec.to_builtins(recipe),
        "tasks": _tasks(recipe),
        "missing": str(missing) if missing else None,
    }


def _tasks(recipe: Recipe) -> list[str]:
    return [task for task in SOURCES if recipe.does(task)]
