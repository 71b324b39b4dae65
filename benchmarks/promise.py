"""What the profile promises, and what the served model then does in its process, in turns.

python benchmarks/promise.py BUNDLE --trust release.pub --data test.csv --input text

The bundle is deployed into a temporary appliance. "profile": edgekit's timing job on the slot.
"served": the slot opened as the server's worker opens it, every file hashed again, with the same
inputs in the same order.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from edgekit.edge.appliance.store import Store
from edgekit.edge.deploy.deploy import deploy
from edgekit.edge.model.slot import read_slot
from edgekit.edge.model.tensor_model import open_slot
from edgekit.edge.tasks import load_task
from edgekit.nouns import Figure
from edgekit.profiles.data import input_columns, read_inputs
from edgekit.profiles.intervals import figure, paired_ratio
from edgekit.profiles.report.text import with_interval
from edgekit.profiles.session import write_inputs
from edgekit.profiles.timing_job import Round, RoundRequest, round_job
from edgekit.targets.detect import detect_machine

SECONDS = 2.0
WARM_UP = 100  # calls


def by_profile(folder: Path, inputs: Path) -> tuple[float, float]:
    """p50 in ms and samples a second, by the job that `edgekit build` and `edgekit profile` run."""
    slot = read_slot(folder)
    request = RoundRequest(
        folder=str(folder),
        engine=slot.engine,
        setting=slot.setting,
        inputs=str(inputs),
        effort="default",
        cores=detect_machine().cores,
    )
    found = msgspec.convert(
        round_job(msgspec.to_builtins(request), lambda what, share: None), Round
    )
    return float(np.median(found.times_ms)), found.samples / found.seconds


def by_served(folder: Path, inputs: Path) -> tuple[float, float]:
    """The same of the slot as the worker opens it."""
    model = open_slot(folder)
    values = [model.task.parse(value) for value in json.loads(inputs.read_text())]
    coming = cycle(values)
    for value in islice(coming, WARM_UP):
        model.predict([value])
    times, until = [], time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        before = time.perf_counter()
        model.predict([next(coming)])
        times.append(1e3 * (time.perf_counter() - before))
    size = model.setting.batch_size
    batches = [values[start : start + size] for start in range(0, len(values) - size + 1, size)]
    list(model.answers_of_batches(batches[:8]))
    before, done = time.perf_counter(), 0
    while time.perf_counter() - before < SECONDS:
        done += sum(len(part) for part in model.answers_of_batches(batches[:64]))
    return float(np.median(times)), done / (time.perf_counter() - before)


WAYS: dict[str, Callable[[Path, Path], tuple[float, float]]] = {
    "profile": by_profile,
    "served": by_served,
}


def fresh(way: str, folder: Path, inputs: Path) -> tuple[float, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--once", json.dumps([way, str(folder), str(inputs)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{way}: {done.stderr.strip()[-300:]}")
    p50, speed = json.loads(done.stdout.splitlines()[-1])
    return p50, speed


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--trust", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--input", "columns", multiple=True)
@click.option("--rounds", default=9, show_default=True)
@click.option("--once", hidden=True)
def main(once: str | None, **given: Any) -> None:  # noqa: ANN401 - one parameter for each option
    """Print both, and served over promised, round by round."""
    if once:
        way, folder, inputs = json.loads(once)
        click.echo(json.dumps(WAYS[way](Path(folder), Path(inputs))))
        return
    with tempfile.TemporaryDirectory() as work:
        root, wire = Path(work) / "appliance", Path(work) / "inputs.json"
        pointer = deploy(given["bundle"], root, given["trust"], lambda stage, share: None)
        folder = Store(root).serving(pointer.model).folder
        task = load_task(folder)
        columns = input_columns(given["data"], task, list(given["columns"]) or None, "label")
        write_inputs(task, read_inputs(given["data"], task, columns), wire)
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for number in range(given["rounds"]):
            for way in random.Random(number).sample(list(WAYS), len(WAYS)):  # noqa: S311 - an order, not a key
                found[way].append(fresh(way, folder, wire))
    click.echo("| | profile | served | served / profile |\n| --- | --- | --- | --- |")
    for place, what, digits in ((0, "p50 ms", 2), (1, "samples/s", 0)):
        rounds = {way: [pair[place] for pair in pairs] for way, pairs in found.items()}
        ratio: Figure = paired_ratio(rounds["served"], rounds["profile"])
        row = [with_interval(figure(rounds[way]), digits) for way in WAYS]
        click.echo(f"| {what} | {' | '.join(row)} | {with_interval(ratio, 2)} |")


if __name__ == "__main__":
    main()
