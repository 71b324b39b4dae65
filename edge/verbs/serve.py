"""`edgekit serve`."""

import asyncio
import signal
from pathlib import Path

import click

from edgekit import log
from edgekit.console import json_option, note, print_json
from edgekit.edge.appliance.store import Store
from edgekit.edge.verbs.deploy import APPLIANCE, MODEL


@click.command()
@APPLIANCE
@MODEL
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback only.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--log-format",
    type=click.Choice(log.FORMATS),
    help="How the log on standard error is written.  [default: text]",
)
@json_option
def serve(
    appliance: Path,
    model: str | None,
    host: str,
    port: int,
    log_format: log.Format | None,
    as_json: bool,
) -> None:
    """Serve the current model over HTTP on this machine, until Ctrl-C or SIGTERM.

    A deploy or a rollback is taken over while serving. KServe v2 is at /v2, a plain call at
    /v1/classify.

    \b
    Example:
      edgekit serve /var/lib/edgekit --port 8080
      curl -d '{"inputs": "pump P3 leaks coolant"}' http://127.0.0.1:8080/v1/classify
    """
    from edgekit.edge.serving.http.app import serve as run

    log.configure(log_format)
    store = Store(Path(appliance))
    serving = store.serving(model)

    def started(bound: int) -> None:
        if as_json:
            print_json({"model": serving.model, "host": host, "port": bound})
        place = f"http://{host}:{bound}/v1/classify"
        if log_format == "json":
            log.info("%s %s answers at %s", serving.model, serving.slot.version, place)
        else:
            note(f"{serving.model} {serving.slot.version} answers at {place}")

    try:
        asyncio.run(run(store, serving.model, host, port, started))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we end already, and in good order
