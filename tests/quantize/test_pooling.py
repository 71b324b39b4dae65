"""An embedder pools as Sentence Transformers does: in the reference, in ONNX, in OpenVINO."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.edge.engines import load_engine
from edgekit.edge.model.tensor_model import open_model
from edgekit.errors import InputError
from edgekit.nouns import Setting
from edgekit.quantize.huggingface import pooling_of
from edgekit.quantize.pooling import OLD_MODES, Pooling, pooled, read_pooling
from edgekit.quantize.recipes.onnx_pooling import add_pooling
from tests.families import TEXTS, make_family, write_pooling
from tests.quantize.folder.test_check import change
from tests.quantize.test_families import export

MODES = list(OLD_MODES.values())
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]], np.int64)
STATES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32) * 3 - 1
TASK = "feature-extraction"


def as_the_library(pooling: Pooling, mask: np.ndarray) -> np.ndarray:
    import torch
    from sentence_transformers.sentence_transformer.modules import Pooling as Theirs

    theirs = Theirs(4, pooling_mode=pooling.modes, include_prompt=pooling.is_prompt_pooled)
    features: dict[str, Any] = {
        "token_embeddings": torch.from_numpy(STATES),
        "attention_mask": torch.from_numpy(mask),
        "prompt_length": 1,
    }
    return np.asarray(theirs(features)["sentence_embedding"].numpy())


def graph_of(pooling: Pooling, opset: int, folder: Path) -> None:
    """Write an encoder that hands out the states that it is given."""
    states = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "tokens", 4])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "tokens"])
    out = helper.make_tensor_value_info("last", TensorProto.FLOAT, ["batch", "tokens", 4])
    node = helper.make_node("Identity", ["states"], ["last"])
    graph = helper.make_graph([node], "g", [states, mask], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    add_pooling(model, pooling)
    onnx.save(model, folder / "model.onnx")


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize(
    "modes", [*[(mode,) for mode in MODES], ("mean", "cls", "mean"), tuple(MODES)]
)
def test_each_mode_is_that_of_the_library(
    modes: tuple[Any, ...], left: bool, tmp_path: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    if left and "weightedmean" in modes:
        return  # refused: the padding is counted there
    mask = MASK[:, ::-1].copy() if left else MASK
    for prompt, opset in itertools.product((0, 1), (14, 18)):
        pooling = Pooling(modes=modes, prompt_tokens=prompt, is_prompt_pooled=not prompt)
        right = as_the_library(pooling, mask)
        np.testing.assert_allclose(pooled(STATES, mask, pooling), right, atol=1e-5)
        graph_of(pooling, opset, tmp_path)
        session = load_engine("onnxruntime").load(tmp_path, Setting())
        said = session.run({"states": STATES, "attention_mask": mask})["sentence_embedding"]
        np.testing.assert_allclose(said, right, atol=1e-5)
        assert right.shape == (3, 4 * len(modes))


def test_openvino_pools_as_well(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    pooling = Pooling(modes=tuple(MODES), prompt_tokens=1, is_prompt_pooled=False)
    graph_of(pooling, 17, tmp_path)
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(tmp_path / "model.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    said = compiled({"states": STATES, "attention_mask": MASK})[0]
    np.testing.assert_allclose(said, pooled(STATES, MASK, pooling), atol=1e-5)


def write_embedder(folder: Path, spelling: str, modes: Sequence[str]) -> None:
    """What Sentence Transformers writes, before version 5.4 and since."""
    write_pooling(folder, "mean_tokens")
    settings = folder / "1_Pooling" / "config.json"
    old = {"word_embedding_dimension": 64}
    old |= {key: mode in modes for key, mode in OLD_MODES.items()}
    new = {"pooling_mode": modes[0] if len(modes) == 1 else list(modes), "embedding_dimension": 64}
    settings.write_text(json.dumps(old if spelling == "old" else new))
    if spelling == "new":
        listed = json.loads((folder / "modules.json").read_text())
        for item, place in zip(
            listed,
            ("base.modules.transformer", "sentence_transformer.modules.pooling",
             "sentence_transformer.modules.normalize"), strict=True,
        ):  # fmt: skip
            name = item["type"].rpartition(".")[2]
            item["type"] = f"sentence_transformers.{place}.{name}"
        (folder / "modules.json").write_text(json.dumps(listed))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("spelling", "modes", "prompt"),
    [
        ("new", ["mean"], ""),
        ("new", ["cls"], "find: "),
        ("old", ["cls", "mean"], ""),
        ("old", ["mean"], "the pump leaks: "),
    ],
)
def test_vectors_of_raw_texts_are_those_of_encode(
    spelling: str, modes: list[str], prompt: str, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder = make_family("roberta", TASK, tmp_path / "model")
    write_embedder(folder, spelling, modes)
    change(folder / "sentence_bert_config.json", max_seq_length=11, do_lower_case=True)
    change(
        folder / "config_sentence_transformers.json",
        prompts={"find": prompt},
        default_prompt_name="find" if prompt else None,
    )
    change(folder / "tokenizer_config.json", truncation_side="left")
    change(folder / "1_Pooling" / "config.json", include_prompt=spelling == "new")
    texts = [*TEXTS, "", " ", "The PUMP Leaks <s> again", " ".join(TEXTS)]
    right = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    out, reference = export(folder, TASK, tmp_path / "out")
    model = open_model(out, "onnxruntime", Setting(batch_size=3))
    np.testing.assert_allclose(np.stack(model.answers(texts)), right, atol=2e-5)
    np.testing.assert_allclose(np.stack(reference(texts)), right, atol=2e-5)
    assert np.linalg.norm(right, axis=1) == pytest.approx(1, abs=1e-5)
    assert right.shape[1] == 64 * len(modes)


def test_both_spellings_mean_the_same(tmp_path: Path) -> None:
    folder = make_family("bert", TASK, tmp_path)
    chosen: list[Sequence[str]] = [["mean"], ["cls", "max"], MODES]
    for modes in chosen:
        write_embedder(folder, "old", modes)
        old = read_pooling(folder)
        write_embedder(folder, "new", modes)
        assert read_pooling(folder) == old
        assert old.modes == tuple(modes)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": false}')
    assert read_pooling(folder).modes == ("mean",)  # as the library


STEP = "sentence_transformers.models."


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["Transformer", "Pooling", "Dense"], "a Dense module is not supported"),
        (["Transformer", "Normalize", "Pooling"], "not supported in this order"),
        (["Pooling"], "not supported in this order"),
        ([], "not supported in this order"),
        (["Transformer", "Pooling", "Pooling"], "not supported in this order"),
        (["Transformer", "my_code.Pooling"], "my_code.Pooling is code of its own"),
    ],
)
def test_steps_that_are_not_built_are_refused(
    types: list[str], expected: str, tmp_path: Path
) -> None:
    listed = [{"type": kind if "." in kind else f"{STEP}{kind}", "path": ""} for kind in types]
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match=expected):
        read_pooling(tmp_path)


def test_a_model_in_a_folder_of_its_own_says_what_to_do(tmp_path: Path) -> None:
    listed = [{"type": f"{STEP}Transformer", "path": "0_Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match=r"the model lies in 0_Transformer.* save it again"):
        read_pooling(tmp_path)
    for place in ("../elsewhere", "/etc", "1\0"):
        listed[0]["path"] = place
        (tmp_path / "modules.json").write_text(json.dumps(listed))
        with pytest.raises(InputError, match="path leads out of the folder"):
            read_pooling(tmp_path)


def test_the_tokens_of_a_prompt_are_counted_without_the_end(tmp_path: Path) -> None:
    folder = make_family("bert", TASK, tmp_path)
    write_embedder(folder, "new", ["mean"])
    change(
        folder / "config_sentence_transformers.json",
        prompts={"q": "pump: "},
        default_prompt_name="q",
    )
    assert pooling_of(folder, TASK).prompt_tokens == 0
    change(folder / "1_Pooling" / "config.json", include_prompt=False)
    assert pooling_of(folder, TASK).prompt_tokens > 1
