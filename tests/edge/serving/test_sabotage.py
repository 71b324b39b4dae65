"""Deploy each kind of model that is properly signed, and bad, over a healthy 1.0.0.

1.0.0 serves in the end. A kind is caught by the deploy, before it serves anything, or in the watch
window, and then rolled back.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as field_of
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.digests import describe_folder
from edgekit.edge.appliance.store import Store
from edgekit.edge.deploy.deploy import deploy
from edgekit.edge.model.health import read_golden
from edgekit.errors import Misfit
from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.release.pack import pack
from tests import small
from tests.conftest import Built, script
from tests.edge.serving.test_watch import (
    copy,
    given_up,
    infer,
    pointer,
    policy,
    right,
    serving,
    tell,
    until,
)

spoilers = script("golden")  # of benchmarks/: it measures how far each of these strays
# a number of the graph, and the one that wakes the sleepers below
LARGEST, SECRET = "largest", 77.0


def spoiled_matrix(change: Callable[[np.ndarray], np.ndarray]) -> small.Change:
    """Make a change that gives a model other weights."""

    def spoil(model: onnx.ModelProto) -> None:
        item = model.graph.initializer[0]
        item.CopyFrom(
            numpy_helper.from_array(
                change(numpy_helper.to_array(item)).astype(np.float32), item.name
            )
        )

    return spoil


def with_work(nodes: list[onnx.NodeProto], result: str, **constants: Any) -> small.Change:  # noqa: ANN401
    """Make a change that keeps a model's answers right and adds work beside them.

    nodes: the work, which may read `features` and the `largest` of them.
    result: a number that the work ends in; times zero it joins the logits, so that it can't be left
    out.
    """

    def spoil(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.node[0].output[0] = "plain"
        rest = [
            helper.make_node("ReduceMax", ["features"], [LARGEST], keepdims=0),
            *nodes,
            helper.make_node("Mul", [result, "zero"], ["nothing"]),
            helper.make_node("Add", ["plain", "nothing"], ["logits"]),
            graph.node[1],
        ]
        kept = [graph.node[0], *rest]
        graph.ClearField("node")
        graph.node.extend(kept)
        values = {"zero": np.float32(0), **constants}
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()
        )

    return spoil


def loop(trips: str) -> onnx.NodeProto:
    """Count up to a number of the graph, one by one."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "step"], ["sum_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(np.float32(1e-9), "step")],
    )
    return helper.make_node("Loop", [trips, "", LARGEST], ["counted"], body=body)


def when_woken(then: str, otherwise: str, result: str) -> list[onnx.NodeProto]:
    """`then` for an input with the secret number, `otherwise` for every other one."""
    return [
        helper.make_node("Equal", [LARGEST, "secret"], ["woken"]),
        helper.make_node("Where", ["woken", then, otherwise], [result]),
    ]


def much_memory(numbers: str) -> list[onnx.NodeProto]:
    """So many float numbers at once."""
    return [
        helper.make_node("Reshape", [numbers, "flat"], ["shape"]),
        helper.make_node("Expand", [LARGEST, "shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["summed"], keepdims=0),
    ]


def of_type(kind: int, *, is_input: bool) -> small.Change:
    """A graph that takes, or gives, numbers of another type."""

    def spoil(model: onnx.ModelProto) -> None:
        graph = model.graph
        if is_input:
            graph.input[0].type.tensor_type.elem_type = kind
            item = graph.initializer[0]
            item.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(item).astype(np.float64), item.name)
            )
            graph.node.extend(
                [helper.make_node("Cast", ["wide"], ["probabilities"], to=TensorProto.FLOAT)]
            )
            graph.node[1].output[0] = "wide"
        else:
            graph.output[0].type.tensor_type.elem_type = kind
            graph.node.extend([helper.make_node("Cast", ["wide"], ["probabilities"], to=kind)])
            graph.node[1].output[0] = "wide"

    return spoil


def nan_below_zero(model: onnx.ModelProto) -> None:
    """Make the model answer NaN for inputs whose first number is negative.

    One of four golden samples is such an input, and not the first.
    """
    roots = [
        helper.make_node("Split", ["features"], ["first", "second", "third"], axis=1),
        helper.make_node("Sqrt", ["first"], ["root"]),
    ]
    with_work(roots, "root")(model)


def in_task(**changes: Any) -> Callable[[Path], object]:  # noqa: ANN401
    """task.json says something else."""

    def spoil(files: Path) -> None:
        path = files / "task.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def cut(files: Path) -> None:
    data = (files / "model.onnx").read_bytes()
    (files / "model.onnx").write_bytes(data[: len(data) // 2])


def by_name(folder: Path) -> None:
    """The golden samples name their features."""
    golden = read_golden(folder)
    named: list[object] = [dict(zip(small.FEATURES, row, strict=True)) for row in small.INPUTS]  # type: ignore[call-overload]
    (folder / "golden.json").write_bytes(msgspec.structs.replace(golden, inputs=named).to_json())


PLANT = """
import sys
if any("edgekit.edge.worker.process" in word for word in sys.orig_argv):
    import os, pathlib, time
    from edgekit.edge.model.tensor_model import Model
    if '"1.1.0"' in (pathlib.Path(sys.orig_argv[-3]) / "slot.json").read_text():
        real, calls, leak = Model.read, [], []
        def planted(self, inputs):
            calls.append(1)
            said = real(self, inputs)
            if len(calls) > 12:
                {fault}
            return said
        Model.read = planted
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of bad release, and how it is caught.

    stage: where it is caught.
    said: what the reason says.
    change: made to the model's graph.
    spoil: made to the variant's files.
    limits: limits of the spec.
    figures: figures of the evidence.
    plant: a fault of the worker after some requests.
    asked: what clients ask for in the window.
    seconds: the length of the window.
    golden_seconds: how long the golden samples may take at the deploy.
    golden: spoils the build's folder.
    """

    stage: str = "deploy"
    said: str = "answers the golden samples wrongly here"
    change: small.Change | None = None
    spoil: Callable[[Path], object] | None = None
    limits: dict[str, float] = field_of(default_factory=dict)
    figures: dict[str, Any] = field_of(default_factory=dict)
    plant: str = ""
    asked: tuple[float, float, float] = (0.5, -1.0, 2.0)
    seconds: float = 600
    golden_seconds: float = 300
    golden: Callable[[Path], object] | None = None


# 10 MB measured: beyond 276 MB it is ill
SLOW, LEAN = {"p99_ms": 50.0}, {"peak_rss_bytes": 10_000_000}
KINDS = {
    "does not load": Kind(
        spoil=lambda files: (files / "model.onnx").write_bytes(b"not a model"),
        said="does not run here",
    ),
    "cut off": Kind(spoil=cut, said="does not run here"),
    "NaN": Kind(change=spoiled_matrix(lambda matrix: matrix * np.nan)),
    "NaN for some inputs": Kind(change=nan_below_zero),
    "labels permuted in task.json": Kind(spoil=in_task(labels=["worn", "leaking", "sound"])),
    "features permuted in task.json": Kind(
        spoil=in_task(features=["pressure", "vibration", "temperature"]), golden=by_name
    ),
    "rows of the last matrix permuted": Kind(
        change=spoiled_matrix(lambda matrix: np.roll(matrix, 1, axis=1))
    ),
    "one layer zeroed": Kind(change=spoiled_matrix(np.zeros_like)),
    "scale off by two": Kind(change=spoiled_matrix(lambda matrix: 2 * matrix)),
    "weights of another version": Kind(change=spoiled_matrix(lambda matrix: small.weights(7))),
    "another number of classes": Kind(
        change=spoiled_matrix(lambda matrix: np.pad(matrix, ((0, 0), (0, 1))))
    ),
    "takes another type": Kind(
        change=of_type(TensorProto.DOUBLE, is_input=True), said="does not run here"
    ),
    "gives another type": Kind(change=of_type(TensorProto.INT64, is_input=False)),
    "too slow": Kind(
        change=with_work([loop("trips")], "counted", trips=np.int64(300_000)),
        limits=SLOW,
        said="is too slow here",
    ),
    "hangs": Kind(
        change=with_work([loop("trips")], "counted", trips=np.int64(2**62)),
        golden_seconds=5,
        said="took longer than 5 s",
    ),
    "takes more memory than measured": Kind(
        change=with_work(
            much_memory("numbers"), "summed", numbers=np.int64(10**8), flat=np.array([1])
        ),
        figures=LEAN,
        said="of memory here",
    ),
    "takes much memory for some inputs": Kind(
        change=with_work(
            when_woken("many", "few", "numbers") + much_memory("numbers"),
            "summed",
            secret=np.float32(SECRET),
            many=np.int64(10**8),
            few=np.int64(1),
            flat=np.array([1]),
        ),
        figures=LEAN,
        asked=(SECRET, 0.0, 0.0),
        stage="window",
        said="started 3 times in its watch window",
    ),
    "dies of some inputs": Kind(
        change=with_work(
            [
                *when_woken("minus_one", "one", "divisor"),
                # which has no result for -1
                helper.make_node("Div", ["lowest", "divisor"], ["quotient"]),
                helper.make_node("Cast", ["quotient"], ["wide"], to=TensorProto.FLOAT),
            ],
            "wide",
            secret=np.float32(SECRET),
            minus_one=np.int32(-1),
            one=np.int32(1),
            lowest=np.int32(-(2**31)),
        ),
        asked=(SECRET, 0.0, 0.0),
        stage="window",
        said="started 3 times in its watch window",
    ),
    "crashes after some requests": Kind(
        plant="os.abort()", stage="window", said="started 3 times in its watch window"
    ),
    "leaks": Kind(
        plant="leak.append(b'.' * 30_000_000)",
        figures=LEAN,
        stage="window",
        said="started 3 times in its watch window",
    ),
    "becomes slow": Kind(
        plant="time.sleep(0.1)", limits=SLOW, seconds=3, stage="window", said="is too slow here"
    ),
    "becomes wrong": Kind(
        plant="said = [item._replace(values=item.values + 1) for item in said]",
        seconds=3,
        stage="window",
    ),
}
SAMPLE = (
    "does not load",
    "NaN for some inputs",
    "labels permuted in task.json",
    "one layer zeroed",
    "scale off by two",
    "gives another type",
    "too slow",
    "takes more memory than measured",
    "dies of some inputs",
    "becomes wrong",
)
HANGS = Kind(
    change=with_work(
        [*when_woken("many", "few", "trips"), loop("trips")], "counted", secret=np.float32(SECRET),
        many=np.int64(2**62), few=np.int64(1),
    ),
    asked=(SECRET, 0.0, 0.0), stage="window", said="started 3 times in its watch window",
)  # fmt: skip


@pytest.fixture(scope="module")
def healthy(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An appliance where 1.0.0 is proven."""
    folder = tmp_path_factory.mktemp("healthy")
    policy(folder / "box", seconds=0)
    first = small.bundle(folder / "1.0.0.tar", small.signing(keys))
    deploy(first, folder / "box", keys / "release.pub", tell)
    return folder / "box"


def bad_bundle(kind: Kind, keys: Path, folder: Path) -> Path:
    """Version 1.1.0, signed: the weights of 1.0.0, and what is wrong with them."""
    made = folder / "build"
    build, variant = small.write_build(
        made,
        version="1.1.0",
        change=kind.change,
        spoil=kind.spoil,
        limits=kind.limits,
        **kind.figures,
    )
    if kind.golden:
        kind.golden(made)
    pack(build, [variant], made, small.signing(keys), folder / "bad.tar")
    return folder / "bad.tar"


def catch(kind: Kind, healthy: Path, keys: Path, folder: Path) -> tuple[str, str]:
    """Deploy a kind, and say where it is caught and why; 1.0.0 serves in the end."""
    folder.mkdir()
    box, bundle = copy(healthy, folder / "box"), bad_bundle(kind, keys, folder)
    policy(box, seconds=kind.seconds, golden_seconds=kind.golden_seconds)
    before = (box / "models" / "pumps.json").read_bytes()
    try:
        deploy(bundle, box, None, tell)
    except Misfit as error:
        assert (box / "models" / "pumps.json").read_bytes() == before
        assert [path.name for path in (box / "slots" / "pumps").iterdir()] == [
            Store(box).serving("pumps").folder.name
        ]
        return "deploy", str(error)
    (folder / "sitecustomize.py").write_text(PLANT.format(fault=kind.plant or "pass"))
    with serving(box, folder) as server:

        def is_over() -> bool:
            assert pointer(box).is_watched or given_up(box), "1.1.0 was proven"
            return infer(server, kind.asked)[1] == "1.0.0"

        until(is_over, "1.0.0 serves again", seconds=500)
        status, version, said = infer(server)
        assert (status, version) == (200, "1.0.0")
        assert np.allclose(said, right("1.0.0"), atol=1e-5)
    assert pointer(box).current == pointer(healthy).current
    return "window", given_up(box)


@pytest.mark.parametrize(
    "names", [SAMPLE, pytest.param(tuple(KINDS), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_every_kind_of_bad_model_is_caught(
    healthy: Path, keys: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    caught = {
        name: catch(KINDS[name], healthy, keys, tmp_path / str(place))
        for place, name in enumerate(names)
    }
    stages = {name: stage for name, (stage, _) in caught.items()}
    print(
        f"{len(caught)} of {len(names)} kinds caught:",
        ", ".join(f"{name} ({stages[name]})" for name in names),
    )
    assert stages == {name: KINDS[name].stage for name in names}
    for name in names:
        assert KINDS[name].said in caught[name][1], name


def test_a_healthy_one_is_deployed_and_proven(healthy: Path, keys: Path, tmp_path: Path) -> None:
    """What this file makes is accepted where nothing is wrong with it.

    The release has work beside the answers, golden samples by name, and a plant.
    """
    work = with_work([loop("trips")], "counted", trips=np.int64(10))
    kind = Kind(change=work, golden=by_name, limits={"p99_ms": 1e4}, seconds=1)
    with pytest.raises(AssertionError, match=r"1\.1\.0 was proven"):
        catch(kind, healthy, keys, tmp_path / "well")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_that_hangs_on_some_inputs_is_rolled_back(
    healthy: Path, keys: Path, tmp_path: Path
) -> None:
    stage, reason = catch(HANGS, healthy, keys, tmp_path / "hangs")
    assert (stage, HANGS.said in reason) == ("window", True)


def zero_a_layer(files: Path) -> None:
    """A sixteenth of the file, from its middle on: weights, in each of the three formats."""
    [path] = [path for path in files.iterdir() if path.suffix in (".onnx", ".bin", ".gguf")]
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    length = len(data) // 16
    data[len(data) // 2 : len(data) // 2 + length] = bytes(length)
    path.write_bytes(data)


TEXT_KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "tokenizer of another version": ("onnx-fp32", spoilers.move_words),
    "tokenizer of another version, int8": ("onnx-int8-static", spoilers.move_words),
    "tokenizer of another version, OpenVINO": ("openvino-int8", spoilers.move_words),
    "tokenizer of another version, GGUF": ("gguf-q4_k_m", spoilers.move_words),
    "dropped pooler": ("onnx-fp32", spoilers.drop_pooler),
    "one layer zeroed, OpenVINO": ("openvino-int8", zero_a_layer),
    "one layer zeroed, GGUF": ("gguf-q4_k_m", zero_a_layer),
}


@pytest.mark.slow
def test_every_kind_of_bad_text_model_is_caught(
    built: Built, keys: Path, appliance: Path, tmp_path: Path
) -> None:
    before = (appliance / "models" / "tiny.json").read_bytes()
    build = read_build(built.folder)
    for place, (name, (wanted, spoil)) in enumerate(TEXT_KINDS.items()):
        variant = next(item for item in build.measured if item.name == wanted)
        folder = Path(shutil.copytree(built.folder, tmp_path / str(place)))
        files = model_folder(folder, variant.name)
        spoil(files)
        artifact = msgspec.structs.replace(variant.artifact, files=describe_folder(files))
        bad = msgspec.structs.replace(variant, artifact=artifact)
        pack(build, [bad], folder, small.signing(keys), folder / "bad.tar")
        with pytest.raises(Misfit, match="answers the golden samples wrongly here"):
            deploy(folder / "bad.tar", appliance, None, tell)
        assert (appliance / "models" / "tiny.json").read_bytes() == before, name
    print(f"{len(TEXT_KINDS)} of {len(TEXT_KINDS)} kinds caught (deploy):", ", ".join(TEXT_KINDS))


@pytest.mark.processes
def test_the_benchmark_parts_the_healthy_from_the_bad(tmp_path: Path) -> None:
    """Run benchmarks/golden.py on a small build.

    The build's own answers here are the same, and each sabotage strays.
    """
    build, _ = small.write_build(tmp_path / "build")
    [variant] = spoilers.healthy(tmp_path / "build", build)
    row = spoilers.spread_row(variant, tmp_path / "build", spoilers.places()[:2])
    assert (row[0], row[1], row[-1]) == ("onnx-fp32", "0.0000 (0.0000)", "ok")
    for _, kind, caught, *_ in spoilers.bad_rows(variant, tmp_path / "build"):
        assert caught == "1 of 1", kind
