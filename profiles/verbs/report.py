"""`edgekit report`."""

import math
from pathlib import Path

import click
import msgspec

from edgekit.console import json_option, note, print_json, print_table
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.nouns import Build
from edgekit.profiles.build_folder import read_build
from edgekit.profiles.report.cost import Prices, cost_sheet
from edgekit.profiles.report.text import (
    build_as_json,
    build_as_table,
    cost_as_table,
    cost_notes,
    notes,
)

POSITIVE = click.FloatRange(0, min_open=True)
PRICE = click.FloatRange(0)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="build")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page to this file: plots, tables, the device. It needs no network.",
)
@click.option(
    "--requests-per-day", type=POSITIVE, help="For the cost sheet: how much there is to do."
)
@click.option("--device-price", type=PRICE, help="What the device costs, once.")
@click.option("--per-call-price", type=PRICE, help="What one call costs elsewhere.")
@click.option(
    "--watts", type=POSITIVE, help="What the device takes at work, where nothing measured it."
)
@click.option("--energy-price", type=PRICE, help="What a kWh costs.")
@click.option("--currency", default="EUR", show_default=True, help="Of all prices.")
@json_option
def report(
    folder: Path,
    html: Path | None,
    requests_per_day: float | None,
    device_price: float | None,
    per_call_price: float | None,
    watts: float | None,
    energy_price: float | None,
    currency: str,
    as_json: bool,
) -> None:
    """Show a finished build: every variant, the chosen one, why, and what a day of requests costs.

    \b
    Example:
      edgekit report build/ --html report.html
      edgekit report build/ --requests-per-day 50000 --device-price 400 --per-call-price 0.001 \\
        --watts 25 --energy-price 0.30
    """
    prices = Prices(
        requests_per_day=requests_per_day,
        device_price=device_price,
        per_call_price=per_call_price,
        watts=watts,
        energy_price=energy_price,
        currency=currency,
    )
    for name, value in msgspec.structs.asdict(prices).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"--{name.replace('_', '-')} {value}: it must be a finite number")
    build = read_build(folder)
    if html:
        if not html.parent.is_dir():
            raise InputError(f"--html {html}: there is no folder {html.parent}; make it first")
        from edgekit.profiles.report.page import page

        write_durably(html, page(build, cost_sheet(build, prices)).encode())
        note(f"{html}: written")
        if not as_json:
            return
    show_build(build, prices, as_json=as_json)


def show_build(build: Build, prices: Prices | None = None, *, as_json: bool) -> None:
    """Print a build as `edgekit build` and `edgekit report` both show it."""
    cost = cost_sheet(build, prices or Prices())
    if as_json:
        print_json(build_as_json(build, cost))
        return
    print_table(build_as_table(build))
    if cost.variants:
        print_table(cost_as_table(cost))
    for line in [*cost_notes(cost), *notes(build)]:
        click.echo(line)
