"""Compare what edgekit's profiler finds with what the engines' own tools find.

They measure the same files with the same tensors, in turns.

python benchmarks/engines.py BUILD --tokens 16

The tools are: for ONNX Runtime a bare loop around InferenceSession.run; for OpenVINO its
benchmark_app, synchronous; for llama.cpp llama-bench, on the very libraries that llama-cpp-python
has (benchmarks/README.md says how to compile it). Each runs in a fresh process; edgekit's loop runs
with a task that does nothing, so that only the engine's call is timed, as the tools do.
benchmark_app counts less than the call, the engine's own time (`request.latency`): so there is a
row for that, too.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from edgekit.edge.engines import TensorSession, load_engine
from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks import load_task
from edgekit.nouns import Setting, Variant
from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.profiles.intervals import paired_ratio
from edgekit.profiles.scenarios import EFFORTS, single_stream

SECONDS = 1.0  # of each turn: short and many, as a machine that drifts wants it
CALL, OWN = "edgekit", "edgekit, engine's own time"
TOOLS = {
    "onnxruntime": "bare session loop",
    "openvino": "benchmark_app",
    "llama.cpp": "llama-bench",
}


class Fixed:
    """A task that feeds the same tensors to every call and makes nothing of the outputs."""

    labels: tuple[str, ...] = ()

    def __init__(self, feeds: dict[str, np.ndarray]) -> None:
        self._feeds = feeds

    def encode(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        return self._feeds

    def answers(
        self, outputs: dict[str, np.ndarray], feeds: dict[str, np.ndarray]
    ) -> list[np.ndarray]:
        return list(outputs.values())

    def decode(self, inputs: Sequence[Any], answers: Sequence[np.ndarray]) -> list[Any]:
        return list(answers)


def feeds_of(folder: Path, tokens: int) -> dict[str, np.ndarray]:
    """Make one text of so many tokens, nothing padded."""
    task: Any = load_task(folder)
    made = task.encode([" ".join(["card"] * 4 * tokens)])
    return {
        name: value[:, :tokens]
        for name, value in made.items()
        if value.ndim == 2 and value.shape[1] >= tokens
    }


class OwnTime:
    """A session of OpenVINO that notes what each of its runs took by the engine's own account.

    times: those times, in ms.
    """

    def __init__(self, session: TensorSession) -> None:
        self._session: Any = session
        self.times: list[float] = []

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs: dict[str, np.ndarray] = self._session.run(feeds)
        self.times.append(self._session._own.request.latency)
        return outputs


def stream(folder: Path, session: TensorSession, setting: Setting, tokens: int) -> list[float]:
    """Return the milliseconds of each call in edgekit's single stream."""
    task: Any = Fixed(feeds_of(folder, tokens))
    effort = replace(EFFORTS["default"], seconds=SECONDS)
    return list(single_stream(Model(task, session, setting), [None], effort)[0])


def by_edgekit(folder: Path, engine: str, setting: Setting, tokens: int) -> float:
    """Return p50 in ms by edgekit's single stream."""
    return statistics.median(
        stream(folder, load_engine(engine).load(folder, setting), setting, tokens)
    )


def by_own_time(folder: Path, engine: str, setting: Setting, tokens: int) -> float:
    """Return p50 in ms of the engine's own time in the calls of edgekit's single stream."""
    session = OwnTime(load_engine(engine).load(folder, setting))
    calls = stream(folder, session, setting, tokens)
    return statistics.median(session.times[-len(calls) :])  # without the warm-up


def by_bare_loop(folder: Path, engine: str, setting: Setting, tokens: int) -> float:
    """Return p50 in ms of InferenceSession.run, by nothing but a clock."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = ort.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    feeds = feeds_of(folder, tokens)
    feeds = {item.name: feeds[item.name] for item in session.get_inputs()}
    times = []
    until = time.perf_counter() + 4 / 3 * SECONDS
    while time.perf_counter() < until:
        before = time.perf_counter()
        session.run(None, feeds)
        times.append(1e3 * (time.perf_counter() - before))
    return statistics.median(times[len(times) // 4 :])


def by_benchmark_app(folder: Path, engine: str, setting: Setting, tokens: int) -> float:
    """Return p50 in ms of OpenVINO's benchmark_app; it makes up the tensors' values."""
    names = feeds_of(folder, tokens)
    shape = ",".join(f"{name}[1,{tokens}]" for name in names)
    with tempfile.TemporaryDirectory() as work:
        command = [
            str(Path(sys.executable).with_name("benchmark_app")),
            "-m",
            str(folder / "model.xml"),
            "-d",
            "CPU",
            "-api",
            "sync",
            "-hint",
            "latency",
            "-data_shape",
            shape,
            "-t",
            str(round(4 / 3 * SECONDS)),
            "-json_stats",
            "-report_type",
            "no_counters",
            "-report_folder",
            work,
        ]
        command += ["-nthreads", str(setting.threads)] if setting.threads else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        report = next(Path(work).glob("*.json"), None)
        if done.returncode or report is None:
            raise click.ClickException(
                f"benchmark_app: {(done.stdout + done.stderr).strip()[-300:]}"
            )
        found = json.loads(report.read_text())
    return float(found["execution_results"]["latency (ms)"])


def by_llama_bench(folder: Path, engine: str, setting: Setting, tokens: int) -> float:
    """Return p50 in ms of llama-bench's prompt processing with embeddings; it makes up tokens."""
    from importlib.util import find_spec

    found = find_spec("llama_cpp")
    assert found is not None  # noqa: S101 - edgekit's own turn loads it
    libraries = {**os.environ, "LD_LIBRARY_PATH": str(Path(str(found.origin)).with_name("lib"))}
    command = [
        os.environ["LLAMA_BENCH"],
        "-m",
        str(folder / "model.gguf"),
        "-p",
        str(tokens),
        "-n",
        "0",
        "-embd",
        "1",
        "-ngl",
        "0",
        "-t",
        str(setting.threads or os.cpu_count()),
        "-o",
        "json",
        "-r",
    ]

    def times_ms(repetitions: int) -> list[float]:
        done = subprocess.run(
            [*command, str(repetitions)], capture_output=True, text=True, check=False, env=libraries
        )
        if done.returncode:
            raise click.ClickException(f"llama-bench: {done.stderr.strip()[-300:]}")
        return [value / 1e6 for value in json.loads(done.stdout)[0]["samples_ns"]]

    return statistics.median(
        times_ms(max(5, round(1e3 * SECONDS / statistics.median(times_ms(20)))))
    )


WAYS: dict[str, Callable[[Path, str, Setting, int], float]] = {
    CALL: by_edgekit,
    OWN: by_own_time,
    "bare session loop": by_bare_loop,
    "benchmark_app": by_benchmark_app,
    "llama-bench": by_llama_bench,
}


def fresh(way: str, folder: Path, variant: Variant, setting: Setting, tokens: int) -> float:
    """Run one measurement in a process of its own."""
    request = json.dumps([way, str(folder), variant.engine, msgspec.to_builtins(setting), tokens])
    command = [sys.executable, __file__, "--once", request]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{variant.name} by {way}: {done.stderr.strip()[-300:]}")
    return float(done.stdout.splitlines()[-1])


@click.command()
@click.argument("build", type=click.Path(path_type=Path), required=False)
@click.option(
    "--variant", "names", multiple=True, default=("onnx-fp32", "openvino-int8"), show_default=True
)
@click.option("--tokens", default=16, show_default=True)
@click.option("--rounds", default=30, show_default=True)
@click.option("--llama-bench", envvar="LLAMA_BENCH", help="The program, for GGUF variants.")
@click.option("--once", hidden=True)
def main(
    build: Path | None,
    names: tuple[str, ...],
    tokens: int,
    rounds: int,
    llama_bench: str | None,
    once: str | None,
) -> None:
    """Print the median p50 of both, and their ratio round by round: mean and 95 % interval."""
    if once:
        way, folder, engine, setting, tokens = json.loads(once)
        click.echo(WAYS[way](Path(folder), engine, msgspec.convert(setting, Setting), tokens))
        return
    if build is None:
        raise click.UsageError("Missing argument 'BUILD': the output folder of edgekit build.")
    click.echo(
        "| variant, by | p50 ms | tool p50 ms | ratio | tool |\n| --- | --- | --- | --- | --- |"
    )
    variants = {item.name: item for item in read_build(build).variants}
    for name in names:
        variant = variants.get(name)
        if variant is None or variant.evidence is None or variant.engine not in TOOLS:
            raise click.ClickException(
                f"--variant {name}: {build} has no such variant, or not its files"
            )
        if variant.engine == "llama.cpp":
            if not llama_bench:
                raise click.UsageError(f"--variant {name} needs --llama-bench: its path")
            os.environ["LLAMA_BENCH"] = llama_bench
        folder, tool = model_folder(build.resolve(), variant.name), TOOLS[variant.engine]
        mine = [CALL, OWN] if variant.engine == "openvino" else [CALL]
        times: dict[str, list[float]] = {way: [] for way in [*mine, tool]}
        for number in range(rounds):
            for way in random.Random(number).sample(list(times), len(times)):  # noqa: S311 - an order, not a key
                times[way].append(fresh(way, folder, variant, Setting(), tokens))
        for way in mine:
            ratio = paired_ratio(times[way], times[tool])
            p50, theirs = statistics.median(times[way]), statistics.median(times[tool])
            spread = f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"
            click.echo(f"| {name}, {way} | {p50:.3f} | {theirs:.3f} | {spread} | {tool} |")


if __name__ == "__main__":
    main()
