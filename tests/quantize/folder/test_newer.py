"""A folder of transformers 5 is read as that version reads it, or refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from edgekit.edge.tasks import load_task
from edgekit.errors import InputError
from edgekit.quantize.config_json import library_config
from edgekit.quantize.folder.newer import is_translated, newer, readable_folder
from edgekit.quantize.huggingface import load_model, load_tokenizer, write_task
from edgekit.quantize.pooling import read_pooling
from tests.families import TEXTS, make_family, write_pooling
from tests.quantize.folder.test_check import change

TASK = "text-classification"


def drop(path: Path, *names: str) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: content[key] for key in content if key not in names}))


def as_five(folder: Path, **values: Any) -> None:  # noqa: ANN401
    """Write the tokenizer's settings as transformers 5 does."""
    path = folder / "tokenizer_config.json"
    drop(path, "added_tokens_decoder", "additional_special_tokens", "add_prefix_space")
    change(path, tokenizer_class="TokenizersBackend", backend="tokenizers", is_local=True, **values)
    (folder / "special_tokens_map.json").unlink(missing_ok=True)


def test_a_folder_of_the_installed_version_is_read_where_it_lies(tmp_path: Path) -> None:
    folder = make_family("bert", TASK, tmp_path / "model")
    assert newer(folder) is None
    assert is_translated(folder)
    assert readable_folder(folder, tmp_path / "copy") == folder
    assert not (tmp_path / "copy").exists()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # transformers' ModernBERT
def test_rotary_bases_and_layers_of_five_answer_as_they_do_there(tmp_path: Path) -> None:
    folder = make_family(
        "modernbert", TASK, tmp_path / "model", global_rope_theta=77.0, local_rope_theta=5.0
    )
    ids = {"input_ids": torch.arange(5, 21)[None], "attention_mask": torch.ones(1, 16).long()}
    with torch.inference_mode():
        right = load_model(folder, TASK)(**ids).logits.numpy()
    path = folder / "config.json"
    drop(path, "global_rope_theta", "local_rope_theta", "global_attn_every_n_layers")
    change(
        path,
        transformers_version="5.24.0",
        layer_types=["full_attention", "sliding_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 77.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 5.0},
        },
    )
    with torch.inference_mode():
        unread = load_model(folder, TASK)(**ids).logits.numpy()
    assert np.max(np.abs(unread - right)) > 1e-3  # in silence: this is why
    found = newer(folder)
    assert found
    assert found.translated == ("config.json: rope_parameters", "config.json: layer_types")
    assert is_translated(folder)
    copy = readable_folder(folder, tmp_path / "copy")
    assert (copy / "model.safetensors").is_symlink()
    with torch.inference_mode():
        np.testing.assert_allclose(load_model(copy, TASK)(**ids).logits.numpy(), right, atol=1e-6)
    assert readable_folder(folder, copy) == copy  # once


def test_one_base_for_all_layers(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    said = {"rope_type": "yarn", "rope_theta": 5e4, "factor": 4.0}
    path.write_text(json.dumps({"model_type": "llama", "rope_parameters": said}))
    copy = readable_folder(tmp_path, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    assert config["rope_theta"] == 5e4
    assert config["rope_scaling"] == {"rope_type": "yarn", "factor": 4.0}
    assert library_config(copy).rope_theta == 5e4


SLIDING = {"sliding_attention": {"rope_theta": 1.0}}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "qwen9", "rope_parameters": SLIDING}, "has no translation for qwen9"),
        ({"model_type": "modernbert", "rope_parameters": [1]}, "must be an object"),
        (
            {
                "model_type": "modernbert",
                "rope_parameters": {"full_attention": 1, "sliding_attention": {}},
            },
            "full_attention must be an object",
        ),
        (
            {"model_type": "modernbert", "rope_parameters": {"chunked_attention": {}}},
            "has no translation for modernbert",
        ),
        (
            {
                "model_type": "modernbert",
                "rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1.0}},
            },
            "full_attention has more than rope_theta",
        ),
        ({"model_type": "x", "rope_parameters": {"mrope": 1}}, "mrope has no meaning"),
        (
            {
                "model_type": "modernbert",
                "transformers_version": "5.0.0",
                "layer_types": ["sliding_attention", "full_attention"],
            },
            "layer_types: the installed transformers has only every n-th layer",
        ),
    ],
)
def test_what_has_no_translation_is_refused(
    tmp_path: Path, config: dict[str, Any], expected: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=expected):
        readable_folder(tmp_path, tmp_path / "copy")
    assert not is_translated(tmp_path)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_a_tokenizer_of_five_makes_the_ids_that_it_makes_there(family: str, tmp_path: Path) -> None:
    folder = make_family(family, TASK, tmp_path / "model")
    # As it may be saved there, and as the classes of version 4 would set it back: with capitals,
    # or with a space before the first word.
    path = folder / "tokenizer.json"
    saved = Tokenizer.from_file(str(path))
    if family == "bert":
        saved.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    if family == "roberta":
        saved.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    saved.add_special_tokens([AddedToken("<x>", special=True)])
    saved.save(str(path))
    as_five(folder, extra_special_tokens=["<x>"])
    copy = readable_folder(folder, tmp_path / "copy")
    texts = [*TEXTS, "the PUMP Léaks <x> again", "", "  two  spaces "]
    tokenizer = load_tokenizer(copy, TASK)
    assert tokenizer(texts)["input_ids"] == [item.ids for item in saved.encode_batch(texts)]
    assert tokenizer.additional_special_tokens == ["<x>"]
    assert (
        tokenizer.pad_token
        == json.loads((folder / "tokenizer_config.json").read_text())["pad_token"]
    )
    out = tmp_path / "out"
    out.mkdir()
    write_task(copy, TASK, None, out)
    feeds = load_task(out).encode([texts[-3]])
    assert feeds["input_ids"][0].tolist() == saved.encode(texts[-3]).ids


def test_an_embedder_of_five_keeps_its_pooling(tmp_path: Path) -> None:
    folder = make_family("bert", "feature-extraction", tmp_path / "model")
    write_pooling(folder, "cls_token")
    as_five(folder)
    copy = readable_folder(folder, tmp_path / "copy")
    assert copy != folder
    assert read_pooling(copy) == read_pooling(folder)
    assert read_pooling(copy).modes == ("cls",)


def test_a_tokenizer_of_five_without_its_file_is_refused(tmp_path: Path) -> None:
    folder = make_family("bert", TASK, tmp_path / "model")
    as_five(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="TokenizersBackend' of transformers 5 and no tokenizer"):
        newer(folder)


def test_a_class_that_nobody_knows_is_read_from_tokenizer_json(tmp_path: Path) -> None:
    folder = make_family("bert", TASK, tmp_path)
    right = load_tokenizer(folder, TASK)(TEXTS)["input_ids"]
    change(folder / "tokenizer_config.json", tokenizer_class="TicketTokenizer")
    assert load_tokenizer(folder, TASK)(TEXTS)["input_ids"] == right
