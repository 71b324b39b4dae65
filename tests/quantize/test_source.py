"""A source that lies, is cut short or holds code: one line, exit code 2, nothing half-written."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import edgekit

Spoil = Callable[[Path], object]


def change_config(**values: object) -> Spoil:
    """A spoiler that overrides keys of config.json."""

    def spoil(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return spoil


def cut_weights(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_header(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def lie_about_header(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])


def swap_labels_away(model: Path) -> None:
    path = model / "config.json"
    config = json.loads(path.read_text())
    config["id2label"].pop("3")
    path.write_text(json.dumps(config))


def only_pickle(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": [1.0]}))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (cut_weights, "truncated: "),
        (cut_header, "truncated or not a safetensors file"),
        (lie_about_header, "truncated or not a safetensors file"),
        (only_pickle, "pytorch_model.bin: a pickle"),
        (lambda m: (m / "extra.pt").write_bytes(b"x"), "extra.pt: a pickle"),
        (lambda m: (m / "renamed.txt").write_bytes(pickle.dumps([1])), "renamed.txt: a pickle"),
        (lambda m: (m / "modeling_own.py").write_text("import os"), "modeling_own.py: code"),
        (lambda m: (m / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda m: (m / "config.json").unlink(), "no model in it"),
        (lambda m: (m / "config.json").write_text("{"), "config.json: not valid JSON"),
        (
            lambda m: (m / "tokenizer.json").write_text("{}"),
            "no tokenizer that transformers can read",
        ),
        (change_config(auto_map={"AutoModel": "own.Model"}), "auto_map asks for remote code"),
        (
            change_config(architectures=["BertForMaskedLM"]),
            "a BertForMaskedLM does not do 'text-classification'",
        ),
        (change_config(num_hidden_layers=10**9), "num_hidden_layers must be a number from 1 to"),
        (change_config(num_hidden_layers=3), "asks for bert.encoder.layer.2."),
        (change_config(hidden_size=128), "but the safetensors file holds"),
        (change_config(vocab_size=7), "but the safetensors file holds"),
        (change_config(id2label={"0": "a", "2": "b"}), "id2label must number distinct labels"),
        (swap_labels_away, "but the safetensors file holds"),
    ],
)
def test_what_is_wrong_with_the_source_is_named(project: Path, spoil: Spoil, expected: str) -> None:
    spoil(project / "model")
    ran = edgekit("build", project / "edgekit.toml", code=2)
    assert expected in ran.err.splitlines()[-1]
    assert ran.err.splitlines()[-1].startswith("Error: ")
    assert not (project / "build" / "build.json").exists()
    assert not list((project / "build").glob("cache/*/*")) if (project / "build").exists() else True


def test_a_length_that_the_model_lacks(project: Path) -> None:
    path = project / "edgekit.toml"
    path.write_text(path.read_text().replace("[data]", "max_length = 4096\n[data]"))
    assert "takes at most 32 tokens" in edgekit("build", path, code=2).err


def test_an_onnx_source_must_fit_its_task(tmp_path: Path, project: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    folder = tmp_path / "onnx"
    folder.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        folder / "model.onnx",
    )
    task = {
        "task": "tabular-classification",
        "labels": ["no", "yes"],
        "features": ["a", "b", "c"],
        "output": "logits",
    }
    spec = project / "edgekit.toml"
    spec.write_text(
        spec.read_text()
        .replace('"model"', f'"{folder}"')
        .replace("text-classification", "tabular-classification")
    )
    for change, expected in (
        ({"labels": ["no", "yes", "maybe"]}, "names 3 labels, and the model answers [2]"),
        ({"output": "scores"}, "the model has no 'scores'"),
        ({"input": "x"}, "its input 'features' is none of those"),
        ({"labes": []}, "task.json: Object contains unknown field"),
    ):
        (folder / "task.json").write_text(json.dumps(task | change))
        assert expected in edgekit("build", spec, code=2).err
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-7])
    assert "not a sound ONNX model" in edgekit("build", spec, code=2).err
