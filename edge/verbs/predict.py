"""`edgekit predict`."""

import sys
from pathlib import Path

import click

from edgekit.console import json_option, note, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE, MODEL
from edgekit.errors import InputError

SHOWN = 3  # labels, unless another number is asked for


@click.command()
@APPLIANCE
@click.argument("value")
@MODEL
@click.option(
    "--top-k", type=click.IntRange(1), help="How many labels to show, where they are ranked: 3."
)
@json_option
def predict(
    appliance: Path, value: str, model: str | None, top_k: int | None, as_json: bool
) -> None:
    """Answer one input.

    VALUE is a text, the path of a picture, or a JSON array of numbers; - reads it from standard
    input. Where a text is longer than the model takes, a line on stderr says that it was cut.

    \b
    Example:
      edgekit predict /var/lib/edgekit "pump P3 leaks coolant"
    """
    from edgekit.edge.worker.once import OnceRequest, predict_once

    serving = Store(appliance).serving(model)
    if value == "-":
        value = _standard_input()
    request = OnceRequest(
        slot_folder=str(serving.folder),
        slot_sha256=serving.slot.slot_sha256,
        value=value,
        here=str(Path.cwd()),
    )
    prediction, labels = predict_once(request)
    if top_k and not prediction.ranks:
        raise InputError("--top-k: this model does not rank labels; leave it out")
    if as_json:
        print_json(
            {
                "model": serving.model,
                "version": serving.slot.version,
                **prediction.as_json(labels, top_k or SHOWN),
            }
        )
        return
    if prediction.truncated:
        note("the text is longer than the model takes: a part of it was not read")
    for line in prediction.lines(labels, top_k or SHOWN):
        click.echo(line)


def _standard_input() -> str:
    """Return what stands there, without the line's end that a shell puts behind it."""
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: not UTF-8 at byte {error.start}") from None
