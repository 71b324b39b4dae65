"""`edgekit predict`."""

import sys
from pathlib import Path

import click

from edgekit.console import json_option, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE, MODEL
from edgekit.process import write_no_core


@click.command()
@APPLIANCE
@click.argument("value")
@MODEL
@click.option(
    "--top-k", type=click.IntRange(1), default=3, show_default=True, help="How many labels to show."
)
@json_option
def predict(appliance: Path, value: str, model: str | None, top_k: int, as_json: bool) -> None:
    """Answer once. VALUE is a text, the path of a picture, or a JSON array of numbers; - reads it
    from standard input.

    \b
    Example:
      edgekit predict /var/lib/edgekit "pump P3 leaks coolant"
    """
    from edgekit.edge.model.tensor_model import open_slot

    write_no_core()
    store = Store(appliance)
    serving = store.serving(model)
    if value == "-":
        value = sys.stdin.read().strip()
    opened = open_slot(serving.folder, serving.slot.slot_sha256)
    prediction = opened.predict([opened.task.argument(value)])[0]
    if as_json:
        shown = prediction.shown(opened.task.labels, top_k)
        print_json(
            {"model": serving.model, "version": serving.slot.version, prediction.word: shown}
        )
        return
    for line in prediction.lines(opened.task.labels, top_k):
        click.echo(line)
