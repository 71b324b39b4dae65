"""`edgekit init`."""

from pathlib import Path

import click

from edgekit.console import json_option, print_json


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="A second file; without it DATA is split in two.",
)
@click.option("--out", type=click.Path(path_type=Path), default="edgekit.toml", show_default=True)
@json_option
def init(model: Path, data: Path, calibration: Path | None, out: Path, as_json: bool) -> None:
    """Write a commented edgekit.toml for a model's folder and a labelled data file (CSV or JSONL).

    \b
    Example:
      edgekit init my-model/ tickets.csv
      edgekit init my-model/ test.csv --calibration train-sample.csv
    """
    from edgekit.quantize.init import explained, write_first_spec

    path, *chosen = write_first_spec(model, data, calibration, out)
    if as_json:
        columns = zip(("input", "label"), chosen, strict=True)
        print_json({"spec": str(path), **{key: item._asdict() for key, item in columns}})
        return
    for key, item in zip(("input", "label"), chosen, strict=True):
        click.echo(f"{key}: {', '.join(map(repr, item.columns))}: {explained(item)}")
    click.echo(f"{path}: written; read it, set your limits, then: edgekit build {path}")
