"""What people see (progress on standard error) and what machines read (JSON on standard output)."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

err = Console(stderr=True, highlight=False)


def json_option(function: Any) -> Any:  # noqa: ANN401 - click's decorators are untyped in this way
    """Add the option `--json`, which is the same on every verb that prints a result."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object for machines."
    )(function)


def print_json(value: object) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(msgspec.to_builtins(value), indent=2, allow_nan=False))


def print_table(table: Table) -> None:
    """Print a table on standard output.

    It is as wide as it needs to be when no terminal limits it.
    """
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def note(text: str) -> None:
    """Print a line for people on standard error."""
    err.print(text, markup=False, soft_wrap=True)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Make a bar with count, time gone and time to go.

    It is silent when standard error is no terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield progress


def human_bytes(size: float) -> str:
    """Write a number of bytes for people: 1536 as "1.5 KiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return ""


def human_seconds(seconds: float) -> str:
    """Write a duration for people: 95 as "2 min", 40 as "40 s"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def leave(code: int) -> NoReturn:
    """End with an exit code after the result is printed."""
    raise click.exceptions.Exit(code)
