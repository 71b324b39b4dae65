"""Every ONNX and OpenVINO recipe on a small real model.

What it writes is checked, and that it answers as fp32 does.
"""

import importlib
import itertools
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from edgekit.edge.model.tensor_model import open_model
from edgekit.edge.tasks import Task, Tensors, load_task
from edgekit.errors import InputError
from edgekit.job import run_job
from edgekit.nouns import Setting
from edgekit.offline import stay_offline
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.quantize.prepare import InspectRequest
from edgekit.quantize.recipes import RECIPES, Ingredients
from edgekit.quantize.recipes import recipe_job as job
from edgekit.quantize.recipes.recipe_job import RecipeRequest
from edgekit.quantize.source import Source, read_source

stay_offline()
VNNI = ("avx2", "avx512_vnni", "bf16")
AVX2 = ("avx2",)
ARM = ("asimd",)
MADE = [name for name, recipe in RECIPES.items() if recipe.format != "gguf" and recipe.base]
MADE.remove("openvino-int4-awq")  # does not apply to a GELU model; has tests of its own
# The libraries warn of their own future.
pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass
class Kitchen:
    """The fp32 artifact of the tiny model, and what was made from it so far."""

    folder: Path
    source: Source
    task: Task[Any]
    calibration: Dataset
    evaluation: Dataset

    def ingredients(
        self,
        name: str,
        out: Path,
        isa: tuple[str, ...] = VNNI,
        **options: Any,  # noqa: ANN401
    ) -> Ingredients:
        """Return the ingredients as the build would hand them to a recipe."""
        recipe = RECIPES[name]
        assert recipe.base
        encoded = [self.task.encode([text]) for text in self.calibration.inputs]
        return Ingredients(
            source=self.source,
            base=self.made(recipe.base),
            calibration=encoded[:32] if recipe.calibrated else [],
            tuning=encoded[32:] if recipe.tuned else [],
            isa=isa,
            out=out,
            progress=lambda what, share: None,
            options={**recipe.options, **options},
        )

    def made(self, name: str, isa: tuple[str, ...] = VNNI) -> Path:
        """The folder of an artifact, made once."""
        out = self.folder / "-".join((name, *isa)) if RECIPES[name].base else self.folder / name
        if not out.is_dir():
            out.mkdir()
            importlib.import_module(RECIPES[name].module).make(self.ingredients(name, out, isa))
            for path in (self.folder / "task").iterdir():
                shutil.copy(path, out)
        return out

    def logits(
        self,
        name: str,
        isa: tuple[str, ...] = VNNI,
        batch: int = 8,
        **options: Any,  # noqa: ANN401
    ) -> np.ndarray:
        """Return the logits of the evaluation texts, whose lengths are mixed in every batch."""
        computes = RECIPES[name].computes
        setting = Setting(precision=computes, threads=1, batch_size=batch, options=options)
        model = open_model(self.made(name, isa), RECIPES[name].engine, setting)
        return np.stack(model.answers(self.evaluation.inputs))

    def graph(self, name: str, isa: tuple[str, ...] = VNNI) -> "Graph":
        """The ONNX graph that a recipe wrote."""
        return Graph(onnx.load(self.made(name, isa) / "model.onnx").graph)


class Graph:
    """An ONNX graph to ask questions of."""

    def __init__(self, graph: Any) -> None:  # noqa: ANN401
        self.nodes = list(graph.node)
        self.weights = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
        self.outputs = list(graph.output)

    def of(self, *kinds: str) -> list[Any]:
        """The nodes of some operators."""
        return [node for node in self.nodes if node.op_type in kinds]

    def largest_factor(self) -> int:
        """Return the largest absolute number in the int8 matrices that products take."""
        taken = {name for node in self.of("MatMul", "Gemm") for name in node.input}
        stored = [
            self.weights[node.input[0]]
            for node in self.of("DequantizeLinear")
            if node.output[0] in taken and self.weights.get(node.input[0], np.empty(0)).ndim == 2
        ]
        return max(int(np.abs(weight.astype(int)).max()) for weight in stored)

    def weight_quantizers(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return (weight, scale, zero point) of every quantized matrix.

        A matrix counts if it is stored as integers or quantized where it stands.
        """
        matrices = []
        for node in self.of("DequantizeLinear", "QuantizeLinear"):
            weight = self.weights.get(node.input[0])
            if weight is not None and weight.ndim == 2:
                zero = self.weights[node.input[2]] if len(node.input) > 2 else np.zeros(1, np.int8)
                matrices.append((weight, self.weights[node.input[1]], zero))
        return matrices

    def zero_points(self) -> list[np.ndarray]:
        """Return the zero point of every quantizer."""
        quantizers = self.of("QuantizeLinear", "DequantizeLinear")
        return [self.weights[node.input[2]] for node in quantizers if len(node.input) > 2]


@pytest.fixture(scope="session")
def kitchen(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """The tiny model as onnx-fp32."""
    folder = tmp_path_factory.mktemp("kitchen")
    source = read_source(tiny / "model", "text-classification")
    for name in ("task", "onnx-fp32"):
        (folder / name).mkdir()
    inspect = InspectRequest(source=source, max_length=None, out=str(folder / "task"))
    run_job("edgekit.quantize.prepare:inspect_job", msgspec.to_builtins(inspect), folder / "log")
    request = RecipeRequest(
        recipe="onnx-fp32",
        source=source,
        base=None,
        task_folder=str(folder / "task"),
        calibration=str(tiny / "calibration.csv"),
        columns=["text"],
        label="label",
        samples=32,
        excluded=[],
        isa=VNNI,
        out=str(folder / "onnx-fp32"),
    )
    run_job(
        "edgekit.quantize.recipes.recipe_job:recipe_job",
        msgspec.to_builtins(request),
        folder / "log",
    )
    task = load_task(folder / "task")
    calibration, evaluation = (
        read_dataset(tiny / f"{name}.csv", task, ["text"], "label")
        for name in ("calibration", "evaluation")
    )
    return Kitchen(folder, source, task, calibration, evaluation)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries drop files where they stand; a job of the build stands in a scratch folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", MADE)
def test_answers_as_fp32_does(kitchen: Kitchen, name: str) -> None:
    expected, answers = kitchen.logits("onnx-fp32"), kitchen.logits(name)
    assert answers.shape == expected.shape
    assert np.isfinite(answers).all()
    assert np.mean(answers.argmax(1) == expected.argmax(1)) > 0.98
    lossy = RECIPES[name].precision != "fp32"
    # nothing passes that was not quantized
    assert (np.abs(answers - expected).max() > 1e-5) == lossy


def test_fp16_halves_every_weight(kitchen: Kitchen) -> None:
    graph = kitchen.graph("onnx-fp16")
    assert {weight.dtype for weight in graph.weights.values() if weight.dtype.kind == "f"} == {
        np.dtype("float16")
    }
    assert graph.outputs[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_dynamic_quantizes_the_fused_attention(kitchen: Kitchen) -> None:
    graph = kitchen.graph("onnx-int8-dynamic-fused")
    layers = json.loads((Path(kitchen.source.path) / "config.json").read_text())[
        "num_hidden_layers"
    ]
    assert len(graph.of("QAttention")) == layers
    assert not graph.of("Softmax", "Attention")
    for made in (graph, kitchen.graph("onnx-int8-dynamic")):
        assert not [node for node in made.of("MatMul", "Gemm") if node.input[1] in made.weights]
        matrices = [weight for weight in made.weights.values() if weight.ndim == 2]
        assert {weight.dtype.kind for weight in matrices} <= {"i", "u"}  # the embeddings too


def test_a_wrong_fusion_is_not_taken(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = importlib.import_module("edgekit.quantize.recipes.onnx_graph")
    model = kitchen.made("onnx-fp32") / "model.onnx"
    assert module.fuse(model, tmp_path / "fused.onnx")
    sound = module.optimize_model

    def planted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        fused = sound(*arguments, **options)
        scale = next(
            item for item in fused.model.graph.initializer if "LayerNorm.weight" in item.name
        )
        scale.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) * 1.01, scale.name)
        )
        return fused

    monkeypatch.setattr(module, "optimize_model", planted)
    assert not module.fuse(model, tmp_path / "planted.onnx")


@pytest.mark.parametrize(
    "name",
    [
        "onnx-int8-static",
        "onnx-int8-static-entropy",
        "onnx-int8-static-percentile",
        "onnx-int8-smoothquant",
    ],
)
def test_static_weights_are_int8_by_channel(kitchen: Kitchen, name: str) -> None:
    weights = kitchen.graph(name).weight_quantizers()
    assert len(weights) >= 12
    for weight, scale, zero in weights:
        assert weight.dtype == np.int8
        assert scale.size in weight.shape
        assert scale.size > 1
        assert not zero.any()


def test_the_three_ways_to_find_a_range_find_different_ones(kitchen: Kitchen) -> None:
    scales = []
    for name in ("onnx-int8-static", "onnx-int8-static-entropy", "onnx-int8-static-percentile"):
        graph = kitchen.graph(name)
        activations = [
            node for node in graph.of("QuantizeLinear") if node.input[0] not in graph.weights
        ]
        scales.append({node.input[0]: float(graph.weights[node.input[1]]) for node in activations})
    minmax, entropy, percentile = scales
    assert minmax.keys() == entropy.keys() == percentile.keys()
    assert all(percentile[name] <= minmax[name] * 1.001 for name in minmax)
    assert sum(percentile[name] < minmax[name] * 0.999 for name in minmax) > 3
    assert entropy not in (minmax, percentile)


def test_integers_follow_the_cpu(kitchen: Kitchen) -> None:
    assert {zero.dtype for zero in kitchen.graph("onnx-int8-static").zero_points()} > {
        np.dtype("uint8")
    }
    signed = kitchen.graph("onnx-int8-static", ARM).zero_points()
    assert not any(zero.any() for zero in signed)
    assert {zero.dtype for zero in signed} <= {np.dtype("int8"), np.dtype("int32")}
    for name in ("onnx-int8-static", "onnx-int8-smoothquant"):
        assert kitchen.graph(name).largest_factor() == 127
        assert kitchen.graph(name, AVX2).largest_factor() <= 64


def test_tensorrt_gets_symmetric_numbers_and_float_biases(kitchen: Kitchen) -> None:
    graph = kitchen.graph("onnx-int8-tensorrt")
    zeros = graph.zero_points()
    assert len(zeros) > 30
    assert {zero.dtype for zero in zeros} == {np.dtype("int8")}
    assert not any(zero.any() for zero in zeros)
    assert np.dtype("int32") not in {weight.dtype for weight in graph.weights.values()}
    assert all(scale.size > 1 for _, scale, _ in graph.weight_quantizers())
    made_by = {output: node for node in graph.nodes for output in node.output}
    for node in graph.of("MatMul", "Gemm"):
        assert [made_by[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
    users = Counter(name for node in graph.of("MatMul", "Gemm") for name in node.input)
    assert all(users[node.output[0]] == 1 for node in graph.of("DequantizeLinear"))


@pytest.mark.parametrize(("name", "bits"), [("onnx-int8-weights", 8), ("onnx-int4-weights", 4)])
def test_weights_are_stored_in_blocks(kitchen: Kitchen, name: str, bits: int) -> None:
    base, graph = kitchen.graph("onnx-fp32"), kitchen.graph(name)
    products = [node for node in base.of("MatMul") if node.input[1] in base.weights]
    blocks = graph.of("MatMulNBits")
    assert len(blocks) == len(products) > 0
    for node in blocks:
        values = {item.name: item.i for item in node.attribute}
        assert (values["bits"], values["block_size"]) == (bits, 32)


def constants(folder: Path) -> Counter[str]:
    """How many numbers an OpenVINO model holds of each type."""
    import openvino as ov

    counts: Counter[str] = Counter()
    for node in ov.Core().read_model(folder / "model.xml").get_ops():
        if node.get_type_name() == "Constant":
            counts[node.get_element_type().get_type_name()] += int(
                np.prod(list(node.get_output_shape(0)))
            )
    return counts


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("openvino-fp32", "f32"),
        ("openvino-bf16", "f32"),
        ("openvino-fp16", "f16"),
        ("openvino-int8", "i8"),
        ("openvino-int8-buckets", "i8"),
        ("openvino-int8-npu", "i8"),
        ("openvino-int8-weights", "u8"),
        ("openvino-int4-weights", "u4"),
        ("openvino-int4-scale", "u4"),
        ("openvino-int4-gptq", "u4"),
    ],
)
def test_openvino_holds_most_weights_in_the_type(kitchen: Kitchen, name: str, kind: str) -> None:
    counts = constants(kitchen.made(name))
    assert counts[kind] > 0.8 * counts.total()


def test_int4_methods_choose_other_numbers(kitchen: Kitchen) -> None:
    files = [
        (kitchen.made(f"openvino-int4-{method}") / "model.bin").read_bytes()
        for method in ("weights", "scale", "gptq")
    ]
    assert len(set(files)) == 3


def test_awq_says_where_it_does_not_apply(kitchen: Kitchen, tmp_path: Path) -> None:
    from edgekit.quantize.recipes.openvino_weights import make

    with pytest.raises(InputError, match=r"AWQ does not apply to this model.*openvino-int4-scale"):
        make(kitchen.ingredients("openvino-int4-awq", tmp_path))


def test_awq_scales_what_follows_a_relu(tmp_path: Path) -> None:
    import openvino as ov

    from edgekit.quantize.recipes.openvino_weights import make

    random = np.random.default_rng(0)
    shape = ["batch", "tokens", 128]
    names = ["x", "a", "b", "c", "d", "logits"]
    nodes = [
        onnx.helper.make_node("Relu", [before], [after])
        if index == 1
        else onnx.helper.make_node("MatMul", [before, f"w{index}"], [after])
        for index, (before, after) in enumerate(itertools.pairwise(names))
    ]
    weights = [
        onnx.numpy_helper.from_array(random.normal(size=(128, 128)).astype(np.float32), f"w{index}")
        for index in (0, 2, 3, 4)
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, shape) for name in ("x", "logits")]
    graph = onnx.helper.make_graph(nodes, "relu", ends[:1], ends[1:], weights)
    onnx.save(
        onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
        ),
        tmp_path / "model.onnx",
    )
    source = Source(
        kind="onnx", path="", task="token-classification", architecture="onnx", sha256="", files=()
    )
    feeds = [{"x": random.normal(size=(1, 5, 128)).astype(np.float32)} for _ in range(8)]
    make(
        Ingredients(
            source=source, base=tmp_path, calibration=feeds, tuning=[], isa=VNNI, out=tmp_path,
            progress=lambda what, share: None, options=RECIPES["openvino-int4-awq"].options,
        )
    )  # fmt: skip
    nodes = ov.Core().read_model(tmp_path / "model.xml").get_ops()
    assert any("awq" in node.get_friendly_name() for node in nodes)


@pytest.mark.slow
def test_accuracy_control_gives_back_operations_until_the_limit_holds(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    import openvino as ov

    from edgekit.quantize.recipes.openvino_int8_accuracy import make

    ingredients = kitchen.ingredients("openvino-int8-accuracy", tmp_path, max_drop=0.0)
    compiled = ov.compile_model(ingredients.from_base("model.onnx"), "CPU")
    random = np.random.default_rng(0)
    texts = [
        {
            "input_ids": random.integers(5, 40, size=(1, 4)),
            "attention_mask": np.ones((1, 4), np.int64),
            "token_type_ids": np.zeros((1, 4), np.int64),
        }
        for _ in range(3000)
    ]

    def doubt(feeds: dict[str, np.ndarray]) -> float:
        best = np.sort(
            compiled({port.get_any_name(): feeds[port.get_any_name()] for port in compiled.inputs})[
                0
            ][0]
        )
        return float(best[-1] - best[-2])

    # the least rounding tips some of them on any CPU
    ingredients.tuning[:] = sorted(texts, key=doubt)[:100]
    make(ingredients)

    def quantizers(folder: Path) -> int:
        nodes = ov.Core().read_model(folder / "model.xml").get_ops()
        return sum(node.get_type_name() == "FakeQuantize" for node in nodes)

    assert quantizers(tmp_path) < quantizers(kitchen.made("openvino-int8-accuracy"))


def test_accuracy_control_needs_rows_to_tune_on(kitchen: Kitchen, tmp_path: Path) -> None:
    from edgekit.quantize.recipes.openvino_int8_accuracy import make

    ingredients = kitchen.ingredients("openvino-int8-accuracy", tmp_path)
    ingredients.tuning.clear()
    with pytest.raises(InputError, match="add rows"):
        make(ingredients)


@pytest.mark.parametrize(("asked", "given"), [(24, 24), (1000, 31)])
def test_rows_to_tune_on_are_not_in_the_sample(kitchen: Kitchen, asked: int, given: int) -> None:
    request = RecipeRequest(
        recipe="openvino-int8-accuracy",
        source=kitchen.source,
        base=None,
        task_folder=str(kitchen.folder / "task"),
        calibration=str(kitchen.calibration.path),
        columns=["text"],
        label="label",
        samples=asked,
        excluded=[0, 1],
        isa=VNNI,
        out="",
    )
    sample, rest = (set(part.inputs) for part in job._calibration(request, kitchen.task))
    assert len(sample) == len(rest) == given
    assert not sample & rest
    for text in kitchen.calibration.inputs[:2]:
        assert kitchen.task.encode([text])["input_ids"].tobytes() not in sample | rest


def test_npu_shape_is_static_and_symmetric(kitchen: Kitchen) -> None:
    import openvino as ov

    folder = kitchen.made("openvino-int8-npu")
    model = ov.Core().read_model(folder / "model.xml")
    length = json.loads((folder / "task.json").read_text())["max_length"]
    assert {tuple(port.get_shape()) for port in model.inputs} == {(1, length)}
    quantizers = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    assert quantizers
    for node in quantizers:
        low, high = (node.input_value(port).get_node().get_data() for port in (1, 2))
        assert np.all((low == 0) | (np.abs(low + high * 128 / 127) < 1e-3 * high))


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_buckets_answer_as_any_length_does(kitchen: Kitchen, batch: int) -> None:
    plain = kitchen.logits("openvino-fp32", batch=batch)
    buckets = kitchen.logits("openvino-fp32", batch=batch, buckets="6,12,32")
    assert np.abs(plain - buckets).max() < 1e-4


def test_buckets_are_in_the_file_and_can_be_switched_off(kitchen: Kitchen) -> None:
    from edgekit.edge.engines import load_engine, openvino

    folder, engine = kitchen.made("openvino-int8-buckets"), load_engine("openvino")
    assert isinstance(engine.load(folder, Setting()), openvino.BucketSession)
    assert isinstance(
        engine.load(folder, Setting(options={"buckets": "off"})), openvino.OpenVinoSession
    )


def tokens_model(folder: Path) -> None:
    """Write a model that answers with each token's id, times two where the mask is 1.

    Its outputs are `logits`, [batch, tokens, 1], and their `sum`, [batch, 1].
    """
    import openvino as ov
    from openvino import opset13 as ops

    ids, mask = (
        ops.parameter([-1, -1], np.int64, name=name) for name in ("input_ids", "attention_mask")
    )
    ids.output(0).set_names({"input_ids"})
    mask.output(0).set_names({"attention_mask"})
    doubled = ops.convert(ops.multiply(ops.multiply(ids, mask), np.int64(2)), "f32")
    tokens = ops.unsqueeze(doubled, np.int64(2))
    total = ops.reduce_sum(doubled, np.array([1]), keep_dims=True)
    tokens.output(0).set_names({"logits"})
    total.output(0).set_names({"sum"})
    ov.save_model(
        ov.Model([tokens, total], [ids, mask], "tokens"),
        folder / "model.xml",
        compress_to_fp16=False,
    )


def mixed_batch(left: bool) -> Tensors:
    """Rows of 3, 9, 1 and 5 tokens; the padding's id is 7."""
    mask = np.zeros((4, 9), dtype=np.int64)
    ids = np.full_like(mask, 7)
    for row, length in enumerate((3, 9, 1, 5)):
        place = slice(9 - length, 9) if left else slice(0, length)
        mask[row, place] = 1
        ids[row, place] = np.arange(length) + 10 * row + 1
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("rows", [None, 1, 3])
def test_buckets_put_tokens_back_in_place(tmp_path: Path, left: bool, rows: int | None) -> None:
    import openvino as ov

    from edgekit.edge.engines.openvino import BucketSession

    tokens_model(tmp_path)
    model, feeds = ov.Core().read_model(tmp_path / "model.xml"), mixed_batch(left)
    session = BucketSession(
        model, [4, 6, 12], rows, lambda model, _: ov.Core().compile_model(model, "CPU")
    )
    outputs = session.run(feeds)
    expected = (feeds["input_ids"] * feeds["attention_mask"] * 2).astype(np.float32)
    assert np.array_equal(outputs["logits"], expected[:, :, None])
    assert np.array_equal(outputs["sum"], expected.sum(1, keepdims=True))
