"""A source that lies, is cut short or holds code: one line, exit code 2, nothing half-written."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.quantize.source import _is_pickle, todays_name, weight_shapes
from tests.conftest import edgekit
from tests.families import make_family

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


def only_onnx(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model.onnx")


def only_sentence_pieces(model: Path) -> None:
    for name in ("tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"):
        (model / name).unlink()
    (model / "spm.model").write_bytes(b"\n\x0b")
    (model / "tokenizer_config.json").write_text('{"tokenizer_class": "DebertaV2Tokenizer"}')


def without_model_type(model: Path) -> None:
    path = model / "config.json"
    config = json.loads(path.read_text())
    del config["model_type"]
    path.write_text(json.dumps(config))


def only_pickle(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": [1.0]}))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            change_config(
                label2id={"bearing_wear": 1, "belt_slip": 0, "coolant_leak": 2, "sensor_drift": 3}
            ),
            "id2label and label2id give 'bearing_wear' different numbers",
        ),
        (lambda m: (m / "adapter_config.json").write_text("{}"), "adapter_config.json: an adapter"),
        (only_onnx, "an export (model.onnx beside config.json, no safetensors); name the folder"),
        (without_model_type, "model_type is missing; add it"),
        (only_sentence_pieces, "holds spm.model and no tokenizer.json; to convert it: pip install"),
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


def test_bytes_that_begin_like_a_pickle_are_none(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    for second in range(2, 6):
        path.write_bytes(bytes([0x80, second]) + b"\x00" * 6 + b'{"a":1}')
        assert not _is_pickle(path)
        path.write_bytes(bytes([0x80, second, 0x3F]) * 500)
        assert not _is_pickle(path)
    for protocol in range(2, 6):
        for value in ([1], {"weight": [1.0] * 9000}, "x" * (1 << 17), list(range(1 << 17))):
            path.write_bytes(pickle.dumps(value, protocol))
            assert _is_pickle(path)


def test_a_sound_file_whose_header_spells_a_pickle(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"LayerNorm.gamma": torch.zeros(2)}, path)
    data = path.read_bytes()
    length = wanted = struct.unpack("<Q", data[:8])[0]
    while wanted & 0xFF != 0x80 or wanted >> 8 & 0xFF not in range(2, 6):
        wanted += 8
    header = data[8 : 8 + length] + b" " * (wanted - length)
    path.write_bytes(struct.pack("<Q", wanted) + header + data[8 + length :])
    assert not _is_pickle(path)
    assert weight_shapes(tmp_path) == {"LayerNorm.gamma": [2]}


def test_the_oldest_names_of_weights_are_known() -> None:
    assert todays_name("a.LayerNorm.gamma") == "a.LayerNorm.weight"
    assert todays_name("a.LayerNorm.beta") == "a.LayerNorm.bias"
    assert todays_name("a.gamma") == "a.gamma"  # as transformers has it


def test_an_old_checkpoint_without_its_defaults_is_built(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from edgekit.quantize.config_json import library_config
    from edgekit.quantize.huggingface import compare_shapes

    folder = make_family("bert", "text-classification", tmp_path)
    path = folder / "model.safetensors"
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in load_file(path).items()
    }
    assert any(name.endswith("LayerNorm.gamma") for name in old)
    save_file(old, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    for key in ("layer_norm_eps", "hidden_act", "type_vocab_size", "pad_token_id"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config))
    compare_shapes(folder, "text-classification")
    assert library_config(folder).layer_norm_eps == 1e-12


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
