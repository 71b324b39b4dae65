"""Show how far healthy variants stray from the reference on other CPUs, and how far bad ones do.

The golden tolerance lies between.

python benchmarks/golden.py BUILD

Healthy: every measured variant of a finished build, here, with other numbers of threads, held to
older instruction sets (OpenVINO, by oneDNN's own switch) and on older CPUs emulated by qemu-x86_64,
where it is installed. Bad: the ONNX variants spoiled, run here. Differences are from the variant's
own answers here, as a device takes them; those from the reference's are shown beside.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np

from edgekit.edge.model.health import read_golden
from edgekit.edge.model.tensor_model import open_model
from edgekit.nouns import Artifact, Build, Setting
from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.release.pack import golden_of, needed_isa

TOO_LONG = 600  # seconds of one run, emulated ones among them


class Place(NamedTuple):
    """Where a variant is run.

    name: the place in words.
    engines: the engines that can run there.
    command: the words before the interpreter's.
    variables: environment variables of the run.
    threads: the number of threads; None leaves that of the setting.
    isa: of what a slot may ask for, all that is there; None: what this machine has.
    """

    name: str
    engines: Sequence[str] = ("onnxruntime", "openvino", "llama.cpp")
    command: Sequence[str] = ()  # before the interpreter's
    variables: dict[str, str] = {}
    threads: int | None = None
    isa: frozenset[str] | None = None


# Not SSE41: with oneDNN held to it, but not OpenVINO's own kernels, the int8 model answers NaN; an
# emulated Nehalem doesn't.
LEVELS = {
    "AVX2": frozenset[str](),
    "AVX512_CORE": frozenset[str](),
    "AVX512_CORE_VNNI": frozenset({"avx512_vnni"}),
}
CPUS = ("Haswell", "Nehalem")  # AVX2 without VNNI, and SSE4.2


def places() -> list[Place]:
    """List the places that this machine has for a variant to run."""
    found = [Place("here"), Place("1 thread", threads=1), Place("2 threads", threads=2)]
    found += [
        Place(level, ("openvino",), variables={"ONEDNN_MAX_CPU_ISA": level}, isa=isa)
        for level, isa in LEVELS.items()
    ]
    if qemu := shutil.which("qemu-x86_64"):
        found += [
            Place(f"qemu {cpu}", command=(qemu, "-cpu", cpu), isa=frozenset()) for cpu in CPUS
        ]
    return found


class Healthy(NamedTuple):
    """A measured variant of the build.

    name: the variant's name.
    engine: the engine that runs it.
    setting: the engine's setting.
    files: the folder of its files.
    isa: the CPU features that it needs.
    tolerance: the golden tolerance that its bundle has.
    said: its own answers here.
    """

    name: str
    engine: str
    setting: Setting
    files: Path
    isa: frozenset[str]
    tolerance: float
    said: np.ndarray


def healthy(folder: Path, build: Build) -> Iterator[Healthy]:
    """Yield every measured variant of a build, with its answers here."""
    for variant in build.variants:
        if isinstance(variant.artifact, Artifact) and variant.evidence is not None:
            files, setting = model_folder(folder, variant.name), variant.evidence.setting
            said = fresh(files, folder, variant.engine, setting, Place("here"))
            if said is None:
                raise click.ClickException(f"{variant.name}: does not run here any more")
            yield Healthy(
                variant.name,
                variant.engine,
                setting,
                files,
                frozenset(needed_isa(build, variant.artifact)),
                golden_of(folder, variant.artifact, variant.evidence)[1],
                said,
            )


def fresh(
    files: Path, golden: Path, engine: str, setting: Setting, place: Place
) -> np.ndarray | None:
    """Return all answers to the golden samples, one after the other, of a process of its own.

    None if that process dies.
    """
    if place.threads is not None:
        setting = msgspec.structs.replace(setting, threads=place.threads)
    asked = json.dumps([str(files), str(golden), engine, msgspec.to_builtins(setting)])
    command = [*place.command, sys.executable, __file__, "--once", asked]
    variables = {**os.environ, **place.variables}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TOO_LONG, env=variables
        )
    except subprocess.TimeoutExpired:
        return None
    return np.array(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None


def once(files: str, golden: str, engine: str, setting: object) -> list[float]:
    """Answer the golden samples in the process that `fresh` started."""
    model = open_model(Path(files), engine, msgspec.convert(setting, Setting))
    answers = model.answers([model.task.parse(value) for value in read_golden(Path(golden)).inputs])
    return [float(number) for answer in answers for number in np.ravel(answer)]


def reference(folder: Path) -> np.ndarray:
    """Return the answers that the golden samples of a folder expect."""
    return np.concatenate([np.ravel(answer) for answer in read_golden(folder).answers])


def difference(said: np.ndarray | None, expected: np.ndarray) -> float:
    """Return the largest difference of two answers; infinite for what is no answer."""
    if said is None or said.shape != expected.shape or not np.isfinite(said).all():
        return float("inf")
    return float(np.max(np.abs(said - expected)))


Spoil = Callable[[Path], Any]


def sabotages(files: Path) -> Iterator[tuple[str, Spoil]]:
    """Yield what can be wrong with an ONNX variant of a text or tabular model.

    Each pair holds the kind and what makes a model so.
    """
    import onnx

    graph = onnx.load(files / "model.onnx", load_external_data=False).graph
    items = [item for item in graph.initializer if "embedding" not in item.name.lower()]
    for item in items:
        if len(item.dims) == 2:
            yield "one layer zeroed", _array(item.name, np.zeros_like)
            yield (
                "one layer's outputs permuted",
                _array(item.name, lambda array: np.roll(array, 1, axis=-1)),
            )
            yield "one layer NaN", _array(item.name, _not_numbers)
            if item.data_type == onnx.TensorProto.FLOAT:
                yield "one layer off by two", _array(item.name, lambda array: array * 2)
        elif item.name.endswith("_scale"):
            yield "one quantization scale off by two", _array(item.name, lambda array: array * 2)
    if any("pooler" in node.name for node in graph.node):
        yield "pooler dropped", drop_pooler
    if (files / "tokenizer.json").exists():
        yield "tokenizer: words moved by one", move_words
        yield "tokenizer: no special tokens", _tokenizer("post_processor", None)
        yield "tokenizer: case kept", _tokenizer("normalizer", None)


def _not_numbers(array: np.ndarray) -> np.ndarray:
    return np.full_like(array, np.nan) if array.dtype.kind == "f" else array


def _array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """Make what spoils the weights of one name."""

    def spoil(files: Path) -> None:
        import onnx
        from onnx import numpy_helper

        model = onnx.load(files / "model.onnx")
        for item in model.graph.initializer:
            if item.name == name:
                array = numpy_helper.to_array(item)
                item.CopyFrom(
                    numpy_helper.from_array(change(array).astype(array.dtype).copy(), name)
                )
        onnx.save(model, files / "model.onnx")

    return spoil


def drop_pooler(files: Path) -> None:
    """Let the classifier read the first token as it is, as one converter to GGUF has it."""
    import onnx

    model = onnx.load(files / "model.onnx")
    nodes = [node for node in model.graph.node if "pooler" in node.name]
    first = next(node for node in nodes if node.op_type == "Gather").output[0]
    last = nodes[-1].output[0]
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == last and "pooler" not in node.name:
                node.input[place] = first
    onnx.save(model, files / "model.onnx")


def move_words(files: Path) -> None:
    """Give every word its neighbour's number, as in a vocabulary of another version."""
    tokenizer = json.loads((files / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    words = [word for word in vocab if not word.startswith("[")]
    vocab |= dict(zip(words, [vocab[word] for word in words[1:] + words[:1]], strict=True))
    (files / "tokenizer.json").write_text(json.dumps(tokenizer))


def _tokenizer(part: str, value: object) -> Spoil:
    """Make what spoils one part of the tokenizer."""

    def spoil(files: Path) -> None:
        path = files / "tokenizer.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {part: value}))

    return spoil


def spread_row(variant: Healthy, folder: Path, where: Sequence[Place]) -> list[str]:
    """Make a row of the table: how far a variant strays in each place."""
    cells, right, worst = [], reference(folder), 0.0
    for place in where:
        if variant.engine not in place.engines:
            cells.append("-")
            continue
        said = fresh(variant.files, folder, variant.engine, variant.setting, place)
        own = difference(said, variant.said)
        cell = "dies" if said is None else f"{own:.4f} ({difference(said, right):.4f})"
        is_for = place.isa is None or variant.isa <= place.isa
        cells.append(cell if is_for else f"[{cell}]")
        if said is not None and is_for:
            worst = max(worst, own)
    verdict = "ok" if worst <= variant.tolerance else "EXCEEDS"
    return [variant.name, *cells, f"{variant.tolerance:.4f}", verdict]


def bad_rows(variant: Healthy, folder: Path) -> Iterator[list[str]]:
    """Yield a row for each kind of sabotage: how many are caught, and the least that one strays."""
    found: dict[str, list[float]] = {}
    for kind, spoil in sabotages(variant.files):
        with tempfile.TemporaryDirectory() as work:
            bad = Path(shutil.copytree(variant.files, Path(work) / "bad"))
            spoil(bad)
            if changed(variant.files, bad):
                found.setdefault(kind, []).append(
                    difference(answers_here(bad, folder, variant), variant.said)
                )
    for kind, strays in found.items():
        caught = sum(value > variant.tolerance for value in strays)
        yield [
            variant.name,
            kind,
            f"{caught} of {len(strays)}",
            f"{min(strays):.4f}",
            f"{variant.tolerance:.4f}",
        ]


def answers_here(bad: Path, folder: Path, variant: Healthy) -> np.ndarray | None:
    """Return what a spoiled variant answers, or None."""
    try:
        return np.array(
            once(str(bad), str(folder), variant.engine, msgspec.to_builtins(variant.setting))
        )
    except Exception:  # noqa: BLE001 - an engine may raise anything over a bad model
        return None


def changed(files: Path, bad: Path) -> bool:
    """Whether a sabotage did anything: int8 weights can't be NaN."""
    return any(path.read_bytes() != (bad / path.name).read_bytes() for path in files.iterdir())


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table as Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


@click.command()
@click.argument("build", type=click.Path(path_type=Path), required=False)
@click.option("--once", "asked", hidden=True)
def main(build: Path | None, asked: str | None) -> None:
    """Print both tables, and whether the tolerances part the two."""
    if asked:
        click.echo(json.dumps(once(*json.loads(asked))))
        return
    if build is None:
        raise click.UsageError("name a finished build")
    variants, where = list(healthy(build, read_build(build))), places()
    rows = [spread_row(variant, build, where) for variant in variants]
    bad = [
        row
        for variant in variants
        if variant.engine == "onnxruntime"
        for row in bad_rows(variant, build)
    ]
    click.echo(
        "From its own answers here (from the reference's); [a CPU that its bundle refuses].\n"
    )
    click.echo(table(["variant", *(place.name for place in where), "tolerance", ""], rows))
    beyond = [row[0] for row in rows if row[-1] == "EXCEEDS"]
    click.echo(
        f"\n{len(rows)} healthy variants, {len(beyond)} beyond their tolerance {' '.join(beyond)}\n"
    )
    click.echo(table(["variant", "sabotage", "caught", "smallest", "tolerance"], bad))


if __name__ == "__main__":
    main()
