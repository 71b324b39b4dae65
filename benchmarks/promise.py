"""What `edgekit serve` does for clients outside, beside what the profile promised of the same slot.

python benchmarks/promise.py BUNDLE [BUNDLE ...] --trust release.pub --data test.csv --input text \
    [--beside "COMMAND of another edgekit"]

Each bundle is deployed into a temporary appliance and served; 1, 8 and 32 clients ask for a row at
a time over kept connections, in turns with the other edgekit if there is one. Core time is what the
kernel counted of each process. "front and transport" is measured with the null engine in the
model's place, less what a prediction takes by itself in a process: what remains is HTTP, JSON, the
scheduler and the way between the processes.
"""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np
import psutil

from edgekit.digests import digest_bytes
from edgekit.edge.appliance.store import Store
from edgekit.edge.deploy.deploy import deploy
from edgekit.edge.model.health import read_golden
from edgekit.edge.model.slot import read_slot
from edgekit.edge.model.tensor_model import open_model
from edgekit.edge.tasks import load_task
from edgekit.files import write_durably
from edgekit.nouns import Figure, Slot, read_json
from edgekit.profiles.data import input_columns, read_inputs
from edgekit.profiles.intervals import figure, paired_ratio
from edgekit.profiles.report.text import with_interval
from edgekit.profiles.session import write_inputs
from edgekit.profiles.timing_job import Round, RoundRequest, round_job
from edgekit.targets.detect import detect_machine

CLIENTS = (1, 8, 32)
SECONDS = 4.0
WARM_UP_SECONDS, WARM_UP_CALLS = 1.0, 100
MOST_CORE_MS, LEAST_SHARE = 0.6, 0.9  # what is asked of front and transport, and of 32 clients


class Load(NamedTuple):
    """What so many clients got: rows a second, median ms, and ms of core time a row by process."""

    rows_per_s: float
    p50_ms: float
    front_ms: float
    worker_ms: float
    client_ms: float

    @property
    def core_ms(self) -> float:
        """The core time that all processes together take for a row, in ms."""
        return self.front_ms + self.worker_ms + self.client_ms

    def share(self, cores: int) -> float:
        """Return the rows a second as a share of what never idle cores could do."""
        return self.rows_per_s * self.core_ms / 1e3 / cores


async def _client(port: int, bodies: Iterator[bytes], until: float, times: list[float]) -> None:
    """Ask a row at a time over one connection; bare HTTP, so that the client costs little."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.perf_counter() < until:
            body = next(bodies)
            before = time.perf_counter()
            writer.write(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = await reader.readexactly(size)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{head.decode()}{answer.decode()}")
            times.append((time.perf_counter() - before) * 1e3)
    finally:
        writer.close()


def ask(port: int, inputs: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Be the client process: times in ms, and the seconds of core time that it took."""
    bodies = cycle(
        [json.dumps({"inputs": value}).encode() for value in json.loads(inputs.read_text())]
    )
    times: list[float] = []

    async def crowd() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_client(port, bodies, until, times) for _ in range(clients)))

    before = time.process_time()
    asyncio.run(crowd())
    return {"times": times, "core_s": time.process_time() - before}


@contextmanager
def served(command: Sequence[str], box: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Serve an appliance; yield the front's process and port."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "serve", str(box), "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout  # noqa: S101 - we asked for a pipe
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                raise click.ClickException(f"the server did not start: {log.read()[-300:]}")
            text += line
        try:
            yield psutil.Process(process.pid), int(json.loads(text)["port"])
        finally:
            process.terminate()
            process.wait()


def _core_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def load(command: Sequence[str], box: Path, inputs: Path, clients: int) -> Load:
    """Serve, warm up, and let so many clients ask."""
    with served(command, box) as (front, port):
        _ask(port, inputs, clients, WARM_UP_SECONDS)
        [worker] = [item for item in front.children() if "worker" in " ".join(item.cmdline())]
        before = [_core_s(item) for item in (front, worker)]
        started = time.perf_counter()
        found = _ask(port, inputs, clients, SECONDS)
        gone = time.perf_counter() - started - found["idle_s"]
        spent = [_core_s(item) - was for item, was in zip((front, worker), before, strict=True)]
    rows = len(found["times"])
    per_row = [1e3 * seconds / rows for seconds in (*spent, found["core_s"])]
    return Load(rows / gone, float(np.median(found["times"])), *per_row)


def _ask(port: int, inputs: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Run `ask` in a process of its own; return what it found.

    idle_s: how long the process took beside its asking, in seconds.
    """
    request = json.dumps([port, str(inputs), clients, seconds])
    started = time.perf_counter()
    command = [sys.executable, __file__, "--client", request]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    found["idle_s"] = time.perf_counter() - started - seconds
    return found


def put_null_engine(box: Path) -> None:
    """Let the null engine stand in for the model of an appliance, with as many labels."""
    store = Store(box)
    serving = store.serving(None)
    slot, folder = read_json((serving.folder / "slot.json").read_bytes(), Slot), serving.folder
    task = load_task(folder)
    config = json.loads((folder / "task.json").read_text())
    description = {"width": len(task.labels), "output": config.get("output", "logits")}
    (folder / "null.json").write_text(json.dumps(description))
    model = open_model(folder, "null", slot.setting)
    golden = read_golden(folder)
    answers = model.answers([task.parse(value) for value in golden.inputs])
    (folder / "golden.json").unlink()
    said = msgspec.structs.replace(golden, answers=[row.tolist() for row in answers])
    (folder / "golden.json").write_bytes(said.to_json())
    slot = msgspec.structs.replace(slot, engine="null", memory_bytes=0, files=())
    (folder / "slot.json").unlink()
    (folder / "slot.json").write_bytes(slot.to_json())
    pointer = store.pointer(serving.model)
    assert pointer and pointer.current  # noqa: S101,PT018 - it serves
    current = msgspec.structs.replace(pointer.current, slot_sha256=digest_bytes(slot.to_json()))
    pointer = msgspec.structs.replace(pointer, current=current, proven=current)
    write_durably(store.root / "models" / f"{serving.model}.json", pointer.to_json())


def promised(folder: Path, inputs: Path) -> tuple[float, float]:
    """Return p50 in ms and samples a second by the job of `edgekit build` and `edgekit profile`."""
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


def own_core_ms(folder: Path, inputs: Path) -> float:
    """Return ms of core time that one prediction takes in a process that does nothing else."""
    slot = read_slot(folder)
    model = open_model(folder, slot.engine, slot.setting)
    values = [model.task.parse(value) for value in json.loads(inputs.read_text())]
    for value in values[:WARM_UP_CALLS]:
        model.predict([value])
    before = time.process_time()
    for value in values:
        model.predict([value])
    return 1e3 * (time.process_time() - before) / len(values)


def _promised(folder: Path, inputs: Path) -> tuple[float, float]:
    p50_ms, speed = _in_a_process("--profile", folder, inputs)
    return p50_ms, speed


def _in_a_process(what: str, folder: Path, inputs: Path) -> Any:  # noqa: ANN401 - what it printed
    command = [sys.executable, __file__, what, json.dumps([str(folder), str(inputs)])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@click.command()
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path))
@click.option("--trust", type=click.Path(path_type=Path), help="Public key of the bundles.")
@click.option("--data", type=click.Path(path_type=Path), help="A file with inputs.")
@click.option("--input", "columns", multiple=True, help="An input column; once for each.")
@click.option("--beside", default="", help="How another edgekit is called, to be measured beside.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--client", "as_client", hidden=True)
@click.option("--profile", "as_profile", hidden=True)
@click.option("--own", "as_own", hidden=True)
def main(  # noqa: PLR0913,PLR0917 - one parameter for each option
    bundles: Sequence[Path],
    trust: Path,
    data: Path,
    columns: Sequence[str],
    beside: str,
    rounds: int,
    as_client: str | None,
    as_profile: str | None,
    as_own: str | None,
) -> None:
    """Measure in rounds, every contender and number of clients one turn a round."""
    if as_client:
        port, inputs, clients, seconds = json.loads(as_client)
        click.echo(json.dumps(ask(port, Path(inputs), clients, seconds)))
        return
    if as_profile:
        folder, inputs = json.loads(as_profile)
        click.echo(json.dumps(promised(Path(folder), Path(inputs))))
        return
    if as_own:
        folder, inputs = json.loads(as_own)
        click.echo(json.dumps(own_core_ms(Path(folder), Path(inputs))))
        return
    commands = {"this edgekit": [sys.executable, "-m", "edgekit"]}
    if beside:
        commands["beside"] = shlex.split(beside)
    os.environ["NO_COLOR"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        for number, bundle in enumerate(bundles):
            work = Path(scratch) / str(number)
            work.mkdir()
            measure(bundle, trust, data, columns, commands, rounds=rounds, work=work)


def measure(
    bundle: Path,
    trust: Path,
    data: Path,
    columns: Sequence[str],
    commands: dict[str, list[str]],
    *,
    rounds: int,
    work: Path,
) -> None:
    """Measure one bundle and print its table."""
    box, null_box, inputs = work / "box", work / "null", work / "inputs.json"
    deploy(bundle, box, trust, lambda what, share: None)
    folder = Store(box).serving(None).folder
    task = load_task(folder)
    write_inputs(task, read_inputs(data, task, input_columns(data, task, columns, "label")), inputs)
    shutil.copytree(box, null_box)
    put_null_engine(null_box)
    slot, cores = read_slot(folder), detect_machine().cores
    setting = slot.setting
    click.echo(
        f"\n{slot.model} {slot.version} {slot.variant}: {setting.streams} streams of "
        f"{setting.threads} threads, batches of {setting.batch_size}; {cores} cores, "
        f"{rounds} rounds"
    )
    promises: list[tuple[float, float]] = []
    found: dict[tuple[str, int], list[Load]] = {}
    bare: dict[int, list[float]] = {}
    null_folder = Store(null_box).serving(None).folder
    for _ in range(rounds):
        promises.append(_promised(folder, inputs))
        for clients in CLIENTS:
            for name, command in commands.items():
                found.setdefault((name, clients), []).append(load(command, box, inputs, clients))
            null = load(commands["this edgekit"], null_box, inputs, clients)
            own = _in_a_process("--own", null_folder, inputs)
            bare.setdefault(clients, []).append(null.front_ms + null.worker_ms - own)
    _print(promises, found, bare, cores)


def _print(
    promises: list[tuple[float, float]],
    found: dict[tuple[str, int], list[Load]],
    bare: dict[int, list[float]],
    cores: int,
) -> None:
    p50, speed = (figure([item[place] for item in promises]) for place in (0, 1))
    click.echo(
        f"promised: p50 {with_interval(p50, 2)} ms, offline {with_interval(speed, 0)} rows/s"
    )
    for (name, clients), loads in found.items():
        rate = figure([item.rows_per_s for item in loads])
        share = float(np.median([item.share(cores) for item in loads]))
        core = [float(np.median([item[place] for item in loads])) for place in (2, 3, 4)]
        click.echo(
            f"{name}, {clients} clients: {with_interval(rate, 0)} rows/s, p50 "
            f"{np.median([item.p50_ms for item in loads]):.2f} ms; core ms a row: front "
            f"{core[0]:.2f}, worker {core[1]:.2f}, client {core[2]:.2f}; "
            f"{share:.2f} of what {cores} cores could do"
        )
    for clients in CLIENTS:
        if ("beside", clients) in found:
            ratio = _ratio(found["this edgekit", clients], found["beside", clients])
            click.echo(f"{clients} clients: {with_interval(ratio, 2)} times the rate of the other")
    for clients, core_ms in bare.items():
        click.echo(
            f"front and transport, {clients} clients: {with_interval(figure(core_ms), 3)} ms of "
            f"core time a request (at most {MOST_CORE_MS} is asked)"
        )


def _ratio(ours: Sequence[Load], theirs: Sequence[Load]) -> Figure:
    return paired_ratio([item.rows_per_s for item in ours], [item.rows_per_s for item in theirs])


if __name__ == "__main__":
    main()
