"""`edgekit batch`."""

from pathlib import Path

import click

from edgekit.console import json_option, leave, print_json, progress_bar
from edgekit.edge.appliance.store import Store
from edgekit.edge.tasks.row_files import read_rows
from edgekit.edge.verbs.deploy import MODEL
from edgekit.process import write_no_core


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--appliance", type=click.Path(path_type=Path), required=True, help="The appliance folder."
)
@MODEL
@click.option(
    "--input",
    "columns",
    multiple=True,
    help="Input column; may be repeated.  [default: the task's own]",
)
@click.option("--restart", is_flag=True, help="Throw away what an interrupted run had done.")
@click.option(
    "--checkpoint",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="Seconds of work that a crash may cost.",
)
@json_option
def batch(
    source: Path,
    target: Path,
    appliance: Path,
    model: str | None,
    columns: tuple[str, ...],
    restart: bool,
    checkpoint: float,
    as_json: bool,
) -> None:
    """Run every row of SOURCE (CSV or JSONL) through the model into TARGET.

    The columns predicted_label, predicted_score and error are added to each row. An interrupted run
    goes on where it was when the same command is given again, with the same result. Exit code 1:
    some rows have an error.

    \b
    Example:
      edgekit batch tickets.csv answers.csv --appliance /var/lib/edgekit
    """
    from edgekit.edge.batch.run import run_batch
    from edgekit.edge.model.tensor_model import open_slot
    from edgekit.errors import InputError

    write_no_core()
    store = Store(appliance)
    serving = store.serving(model)
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    total = sum(1 for _ in read_rows(source))
    opened = open_slot(serving.folder, serving.slot.slot_sha256)
    with progress_bar() as progress:
        line = progress.add_task("predicting", total=total)
        done = run_batch(
            opened,
            serving.slot.manifest,
            source,
            target,
            columns or None,
            restart=restart,
            checkpoint_seconds=checkpoint,
            tell=lambda rows: progress.update(line, completed=rows),
        )
    if as_json:
        print_json(
            {
                "rows": done.rows,
                "errors": done.errors,
                "resumed_at": done.resumed_at,
                "output": str(target),
            }
        )
    else:
        resumed = f", resumed at row {done.resumed_at + 1}" if done.resumed_at else ""
        click.echo(f"{target}: {done.rows} rows, {done.errors} with an error{resumed}")
    if done.errors:
        leave(1)
