"""`edgekit predict`."""

import sys
from pathlib import Path

import click

from edgekit.console import json_option, print_json
from edgekit.edge.store import Store
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
    """Answer once. VALUE is a text, the path of a picture, or a JSON array of numbers; - reads it from standard input.

    \b
    Example:
      edgekit predict /var/lib/edgekit "pump P3 leaks coolant"
    """
    from edgekit.edge.model import open_slot
    from edgekit.edge.tasks.classification import rank

    write_no_core()
    store = Store(appliance)
    pointer = store.only_model(model)
    if value == "-":
        value = sys.stdin.read().strip()
    opened = open_slot(store.slot_folder(pointer.model, pointer.current), pointer.current.slot_sha256)
    prediction = opened.predict([opened.task.argument(value)])[0]
    ranked = rank(prediction, opened.task.labels, min(top_k, len(opened.task.labels)))
    if as_json:
        print_json({"model": pointer.model, "version": pointer.current.version, "labels": ranked})
        return
    for item in ranked:
        click.echo(f"{item['score']:.4f}  {item['label']}")
