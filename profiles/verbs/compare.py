"""`edgekit compare`."""

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edgekit.console import human_bytes, json_option, print_json, print_table
from edgekit.profiles.compare import SESSIONS, Compared, Difference, compare, read_side
from edgekit.profiles.report.text import with_interval

PLACE = click.Path(path_type=Path)
COLOURS = {"faster": "[green]faster[/]", "slower": "[red]slower[/]", "can't tell": "can't tell"}


@click.command(name="compare")
@click.argument("a", type=PLACE)
@click.argument("b", type=PLACE)
@json_option
def compare_verb(a: Path, b: Path, as_json: bool) -> None:
    """Set two builds, or two files of `edgekit profile --out`, side by side: B against A.

    Faster and slower are said where the whole 95 % interval of the ratio lies beyond 10 % and
    neither was disturbed; the rest can't be told. The interval knows the spread within each
    session, not what changed between the two.

    \b
    Example:
      edgekit compare build-old/ build-new/
      edgekit compare monday.json tuesday.json
    """
    found = compare(read_side(a), read_side(b))
    if as_json:
        print_json(found)
        return
    print_table(_table(found))
    for where, names in ((found.a, found.only_a), (found.b, found.only_b)):
        if names:
            click.echo(f"Only in {where}: {', '.join(names)}")
    for text in found.warnings:
        click.echo(f"Warning: {text}")
    click.echo(SESSIONS)


def _table(found: Compared) -> Table:
    title = f"B = {found.b} against A = {found.a}; ratios are B / A with their 95 % interval"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("variant", no_wrap=True)
    for name in ("p50 ms A", "B", "B / A"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("latency", no_wrap=True)
    for name in ("samples/s A", "B", "B / A"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("throughput", no_wrap=True)
    for name in ("metric", "size", "peak memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in found.variants:
        table.add_row(escape(item.variant), *_cells(item))
    return table


def _cells(item: Difference) -> list[str]:
    return [
        *(f"{value:.2f}" for value in item.p50_ms),
        with_interval(item.p50_ratio, 2),
        COLOURS[item.latency],
        *(f"{value:.0f}" for value in item.samples_per_s),
        with_interval(item.throughput_ratio, 2),
        COLOURS[item.throughput],
        "-" if item.metric_difference is None else f"{item.metric_difference:+.4f}",
        "-" if item.size_difference is None else _signed(item.size_difference),
        _signed(item.memory_difference),
    ]


def _signed(size: int) -> str:
    return f"{'-' if size < 0 else '+'}{human_bytes(abs(size))}"
