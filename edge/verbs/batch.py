"""`edgekit batch`."""

from pathlib import Path

import click

from edgekit.console import json_option, leave, print_json, progress_bar
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import MODEL


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

    The columns predicted_label, predicted_score and error are added to each row, or those of the
    model's task; for texts also truncated, which is true where a text was cut since it is longer
    than the model takes. An interrupted run goes on where it was when the same command is given
    again, with the same result. Exit code 1: some rows have an error.

    \b
    Example:
      edgekit batch tickets.csv answers.csv --appliance /var/lib/edgekit
    """
    from edgekit.edge.batch.run import BatchRequest, run_confined

    serving = Store(appliance).serving(model)
    request = BatchRequest(
        slot_folder=str(serving.folder),
        slot_sha256=serving.slot.slot_sha256,
        slot=serving.slot.manifest,
        source=str(source.absolute()),
        target=str(target.absolute()),
        columns=list(columns),
        restart=restart,
        checkpoint_seconds=checkpoint,
    )
    with progress_bar() as progress:
        line = progress.add_task("starting", total=100)
        done = run_confined(
            request,
            lambda what, share: progress.update(line, description=what, completed=100 * share),
        )
    if as_json:
        print_json(
            {
                "rows": done.rows,
                "errors": done.errors,
                "truncated": done.truncated,
                "resumed_at": done.resumed_at,
                "output": str(target),
            }
        )
    else:
        resumed = f", resumed at row {done.resumed_at + 1}" if done.resumed_at else ""
        cut = f", {done.truncated} longer than the model takes and cut" if done.truncated else ""
        click.echo(f"{target}: {done.rows} rows, {done.errors} with an error{cut}{resumed}")
    if done.errors:
        leave(1)
