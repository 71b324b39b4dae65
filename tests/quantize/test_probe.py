"""What a model's numbers are is probed: double softmax, one output, ids beyond the embedding."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.edge.engines import load_engine
from edgekit.edge.model.tensor_model import Model, open_model
from edgekit.edge.tasks import load_task
from edgekit.errors import InputError
from edgekit.nouns import Setting
from edgekit.quantize.graph_tables import last_step, table_rows
from edgekit.quantize.prepare import InspectRequest, inspect_job
from edgekit.quantize.source import read_source
from tests.families import FAMILIES, make_family

FEATURES = ["a", "b", "c"]
INPUTS = [[2.0, -1.0, 3.0], [0.5, 0.25, -0.5], [-1.0, 0.0, 1.0]]
MATRIX = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
node = helper.make_node
SOFTMAX = [node("Softmax", ["l"], ["y"], axis=-1)]
BY_HAND = [
    node("Exp", ["l"], ["e"]),
    node("ReduceSum", ["e", "axis"], ["s"], keepdims=1),
    node("Div", ["e", "s"], ["y"]),
]
LOGITS = [node("Identity", ["l"], ["y"])]
SIGMOID = [node("Sigmoid", ["l"], ["y"])]
IN_DISGUISE = [node("Sigmoid", ["l"], ["p"]), node("Abs", ["p"], ["y"])]
NO_YES = {"labels": ["no", "yes"]}
TO_ONE = "and the model answers numbers from 0 to 1 that add up to 1"
BEYOND = "and the model answers numbers beyond 0 and 1"
ONE = [node("Gemm", ["l", "w"], ["one"])]


def output_of(last: onnx.NodeProto, kind: int) -> onnx.ValueInfoProto:
    shape = ["n"] if last.op_type == "Squeeze" else ["n", "k"]
    kind = TensorProto.INT64 if last.op_type == "ArgMax" else kind
    return helper.make_tensor_value_info(last.output[0], kind, shape)


def write(
    folder: Path,
    tail: Sequence[onnx.NodeProto],
    kind: int = TensorProto.FLOAT,
    labels: Sequence[str] = ("x", "y", "z"),
    **task: Any,  # noqa: ANN401
) -> Path:
    """Write a model that multiplies three numbers by a matrix, and then does what `tail` says."""
    folder.mkdir(exist_ok=True)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    constants = [
        numpy_helper.from_array((0.1 * MATRIX).astype(dtype), "m"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(MATRIX[:, :1].astype(dtype), "w"),
    ]
    graph = helper.make_graph(
        [node("MatMul", ["features", "m"], ["l"]), *tail],
        "g",
        [helper.make_tensor_value_info("features", kind, ["n", 3])],
        [output_of(tail[-1], kind)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    described = {"task": "tabular-classification", "labels": labels, "features": FEATURES}
    (folder / "task.json").write_text(json.dumps(described | {"output": "y"} | task))
    return folder


def inspected(folder: Path, task: str = "tabular-classification") -> Path:
    """Let the build look at a source; return the folder with its task."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    request = InspectRequest(source=read_source(folder, task), max_length=None, out=str(out))
    inspect_job(msgspec.to_builtins(request), lambda what, share: None)
    return out


def scores_of(folder: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """Return `scores` as it was found, edgekit's scores, and what ONNX Runtime itself answers."""
    out = inspected(folder)
    task = load_task(out)
    session = load_engine("onnxruntime").load(folder, Setting())
    inputs = [task.parse(value) for value in INPUTS]
    predictions = Model(task, session, Setting(batch_size=4)).predict(inputs)
    own = session.run(task.encode(inputs))[task.output]
    config = json.loads((out / "task.json").read_text())
    said = np.array([item.probabilities for item in predictions])  # type: ignore[union-attr]
    return config["scores"], said, own


@pytest.mark.parametrize(
    ("tail", "task"),
    [
        (SOFTMAX, {}),
        (SOFTMAX, {"scores": "probabilities"}),
        (BY_HAND, {}),
        (
            [*SOFTMAX[:0], node("Softmax", ["l"], ["p"], axis=-1), node("Identity", ["p"], ["y"])],
            {},
        ),
        ([node("Softmax", ["l"], ["probabilities"], axis=-1)], {"output": "probabilities"}),
    ],
    ids=["softmax", "stated", "by hand", "behind Identity", "by name"],
)
def test_probabilities_are_taken_as_the_graph_gives_them(
    tmp_path: Path, tail: list[onnx.NodeProto], task: dict[str, Any]
) -> None:
    found, said, own = scores_of(write(tmp_path / "m", tail, **task))
    assert found == "probabilities"
    np.testing.assert_allclose(said, own, atol=1e-6)


def test_logits_are_logits_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("y", "scores"):
        folder = write(tmp_path / name, [node("Identity", ["l"], [name])], output=name)
        found, said, own = scores_of(folder)
        assert found == "logits"
        np.testing.assert_allclose(said, np.exp(own) / np.exp(own).sum(1, keepdims=True), atol=1e-6)
    found, said, own = scores_of(write(tmp_path / "log", [node("LogSoftmax", ["l"], ["y"])]))
    assert found == "logits"
    np.testing.assert_allclose(said, np.exp(own), atol=1e-6)


@pytest.mark.parametrize(
    ("tail", "task", "said"),
    [
        (SOFTMAX, {"scores": "logits"}, f'scores: says "logits", {TO_ONE}'),
        (LOGITS, {"scores": "probabilities"}, f'scores: says "probabilities", {BEYOND}'),
        (
            [node("Identity", ["l"], ["probabilities"])],
            {"output": "probabilities"},
            'output: says "probabilities"',
        ),
        (SIGMOID, {}, "a probability for each label by itself"),
        (IN_DISGUISE, {}, "scores: the model answers numbers from 0 to 1 that don't add up"),
        (SOFTMAX, {"scores": "softmax"}, "Invalid enum value 'softmax'"),
        (SOFTMAX, {"scores": "probability"}, "one number for two labels"),
        (
            [node("ArgMax", ["l"], ["y"], axis=1)],
            {},
            "output: 'y' holds no scores; it has: y (int64",
        ),
        (ONE, {**NO_YES, "output": "one"}, "scores: the model answers one number for two labels"),
        (ONE, {"output": "one", "labels": ["yes"]}, "labels: names one, and one output is a score"),
        ([*ONE, node("Sigmoid", ["one"], ["y"])], {**NO_YES, "scores": "logit"}, 'says "logit"'),
        (ONE, {**NO_YES, "output": "one", "scores": "probability"}, 'scores: says "probability"'),
    ],
)
def test_what_contradicts_task_json_or_is_doubtful_is_one_line(
    tmp_path: Path, tail: list[onnx.NodeProto], task: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as error:
        inspected(write(tmp_path / "m", tail, **task))
    assert said in str(error.value)
    assert "task.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tail", "scores"),
    [
        ([*ONE, node("Sigmoid", ["one"], ["y"])], "probability"),
        (
            [*ONE, node("Sigmoid", ["one"], ["p"]), node("Squeeze", ["p", "axis"], ["y"])],
            "probability",
        ),
        ([*ONE, node("Identity", ["one"], ["y"])], "logit"),
    ],
)
def test_one_number_for_two_labels_is_that_of_the_second(
    tmp_path: Path, tail: list[onnx.NodeProto], scores: str
) -> None:
    _, said, own = scores_of(write(tmp_path / "m", tail, labels=["no", "yes"], scores=scores))
    right = own.reshape(-1) if scores == "probability" else 1 / (1 + np.exp(-own.reshape(-1)))
    np.testing.assert_allclose(said[:, 1], right, atol=1e-6)
    np.testing.assert_allclose(said.sum(axis=1), 1)


def test_an_output_of_another_name_is_found_by_its_shape(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", [node("Softmax", ["l"], ["scores"], axis=-1)])
    model = onnx.load(folder / "model.onnx")
    model.graph.node.append(node("ArgMax", ["l"], ["label"], axis=1, keepdims=0))
    model.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]))
    onnx.save(model, folder / "model.onnx")
    config = json.loads((folder / "task.json").read_text())
    del config["output"]
    (folder / "task.json").write_text(json.dumps(config))
    found = json.loads((inspected(folder) / "task.json").read_text())
    assert (found["output"], found["scores"]) == ("scores", "probabilities")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_numbers_are_made_in_the_type_that_the_graph_takes(tmp_path: Path, kind: int) -> None:
    folder = write(tmp_path / "m", SOFTMAX, kind)
    task = load_task(inspected(folder))
    assert task.encode([task.parse(INPUTS[0])])["features"].dtype.itemsize == (2, 8)[kind == 11]
    if kind == TensorProto.FLOAT16:
        with pytest.raises(InputError, match="the feature 'b' must be a number that a float16"):
            task.parse([1, 1e5, 0])


def test_scikit_learn_s_list_of_dictionaries_is_named(tmp_path: Path) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
    model = LogisticRegression().fit(x, y)
    for output in ("output_probability", "probabilities"):
        folder = write(tmp_path / output, SOFTMAX, input="X", output=output)
        (folder / "model.onnx").write_bytes(skl2onnx.to_onnx(model, x[:1]).SerializeToString())
        with pytest.raises(
            InputError, match=r"'output_probability' is a list of .*'zipmap': False"
        ):
            inspected(folder)
    plain = skl2onnx.to_onnx(model, x[:1], options={"zipmap": False})
    (folder / "model.onnx").write_bytes(plain.SerializeToString())
    found, said, _ = scores_of(folder)
    assert found == "probabilities"
    np.testing.assert_allclose(said, model.predict_proba(np.array(INPUTS, np.float32)), atol=1e-5)


def text_model(folder: Path, tail: Sequence[onnx.NodeProto], rows: int, **task: Any) -> Path:  # noqa: ANN401
    """Write a text classifier that adds up what its tokens look up in a table."""
    folder.mkdir(exist_ok=True)
    tokenizer = FAMILIES["bert"][1]()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
            node("Gather", ["table", "ids"], ["found"]),
            node("ReduceMean", ["found"], ["l"], axes=[1], keepdims=0),
            *tail,
        ],
        "g",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])],
        [output_of(tail[-1], TensorProto.FLOAT)],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    described = {
        "task": "text-classification", "labels": ["x", "y", "z"], "output": tail[-1].output[0],
        "max_length": 12, "pad_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    (folder / "task.json").write_text(json.dumps(described | task))
    return folder


@pytest.mark.parametrize(
    ("tail", "more", "expected"),
    [
        (SIGMOID, {}, "probabilities"),
        (LOGITS, {}, "logits"),
        (SOFTMAX, {}, "multi_label: the model's labels share one probability"),
        ([node("LogSoftmax", ["l"], ["y"])], {}, "multi_label: the model's labels share"),
        (IN_DISGUISE, {}, 'say "logits" or "probabilities"'),
        (IN_DISGUISE, {"scores": "probabilities"}, "probabilities"),
        (SIGMOID, {"scores": "logits"}, 'scores: says "logits"'),
    ],
)
def test_the_numbers_of_many_labels(
    tmp_path: Path, tail: list[onnx.NodeProto], more: dict[str, str], expected: str
) -> None:
    folder = text_model(tmp_path / "m", tail, 1000, multi_label=True, **more)
    if " " in expected:
        with pytest.raises(InputError, match=r"task\.json") as error:
            inspected(folder, "text-classification")
        assert expected in str(error.value)
        return
    out = inspected(folder, "text-classification")
    assert json.loads((out / "task.json").read_text())["scores"] == expected
    task = load_task(out)
    session = load_engine("onnxruntime").load(folder, Setting())
    texts = [task.parse("coolant leaks"), task.parse("bearing")]
    said = Model(task, session, Setting(batch_size=2)).predict(texts)
    own = session.run(task.encode(texts))[task.output]
    right = own if expected == "probabilities" else 1 / (1 + np.exp(-own))
    np.testing.assert_allclose([item.probabilities for item in said], right, atol=1e-6)  # type: ignore[union-attr]


def test_an_id_beyond_the_table_reaches_no_engine(tmp_path: Path) -> None:
    """Neither the texts of a file nor those that only live inputs bring."""
    size = FAMILIES["bert"][1]().get_vocab_size()
    folder = text_model(tmp_path / "m", LOGITS, size)
    tokenizer = FAMILIES["bert"][1]()
    tokenizer.add_tokens(["P-4711", "P-4712"])
    tokenizer.save(str(folder / "tokenizer.json"))
    out = inspected(folder, "text-classification")
    task = load_task(out)
    [doubt] = task.doubts()
    assert f"no embedding for: 2, such as 'P-4711' (its id is {size}, and" in doubt
    for name in ("task.json", "tokenizer.json"):
        (folder / name).write_bytes((out / name).read_bytes())
    model = open_model(folder, "onnxruntime", Setting(batch_size=4))
    found = model.attempt(["coolant leak", "P-4711 leak", "belt"])
    assert [isinstance(item, InputError) for item in found] == [False, True, False]
    assert "no embedding" in str(found[1])
    assert "4711" not in str(found[1])
    assert len(load_task(folder).made_inputs(16, 20)) == 16


def test_special_tokens_and_padding_must_be_inside_the_table(tmp_path: Path) -> None:
    for number, (rows, pad) in enumerate([(2, 0), (1000, 1000)]):
        folder = text_model(tmp_path / str(number), LOGITS, rows, pad_id=pad)
        with pytest.raises(
            InputError, match="its special tokens, which each text gets, or its pad"
        ):
            inspected(folder, "text-classification")


def test_tables_are_found_in_graphs(tmp_path: Path) -> None:
    graph = onnx.load(text_model(tmp_path / "m", SOFTMAX, 50) / "model.onnx").graph
    assert table_rows(graph, "input_ids") == 50
    assert table_rows(graph, "token_type_ids") is None
    assert last_step(graph, "y") == "Softmax"
    assert last_step(graph, "input_ids") == ""
    [tensor] = graph.initializer
    graph.node.insert(0, node("Constant", [], ["table"], value=tensor))
    del graph.initializer[:]
    assert table_rows(graph, "input_ids") == 50
    fused = node("EmbedLayerNormalization", ["input_ids", "types", "table"], ["x"])
    for item in [*graph.node][1:]:
        graph.node.remove(item)
    graph.node.append(fused)
    assert table_rows(graph, "input_ids") == 50


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v3", "modernbert"])
def test_the_tables_of_a_hugging_face_folder_are_known(tmp_path: Path, family: str) -> None:
    folder = make_family(family, "text-classification", tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    found = json.loads((inspected(folder, "text-classification") / "task.json").read_text())
    assert found["token_rows"] == config["vocab_size"]
    assert found["type_rows"] == (config.get("type_vocab_size") or None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id2label": {"0": "LABEL_0"}}, "it has one output: that is a score, not a class"),
        ({"problem_type": "regression"}, "problem_type is regression: that is a score"),
    ],
)
def test_a_regression_is_no_classifier(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = make_family("bert", "text-classification", tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=said):
        read_source(folder, "text-classification")
    if "id2label" in change:  # one label that applies or not
        more = {"problem_type": "multi_label_classification"}
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
        read_source(folder, "text-classification")
