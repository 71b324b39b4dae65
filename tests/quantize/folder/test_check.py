"""A key of a folder is read, changes nothing, is refused with a reason, or is warned of."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.quantize.folder.check import check_folder
from tests.families import make_family, write_pooling
from tests.quantize.folder.test_keys import source_of

EMBEDDER = "feature-extraction"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_family("bert", "text-classification", tmp_path_factory.mktemp("made"))
    (folder / "model.safetensors").unlink()  # the keys are looked up without it
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A folder that a test may spoil."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def change(path: Path, **values: Any) -> None:  # noqa: ANN401
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values))


def test_a_key_that_nobody_knows_is_warned_of_by_file_and_key(folder: Path) -> None:
    change(folder / "config.json", rope_theta=7, hobby="fishing")
    change(folder / "tokenizer_config.json", nickname="x")
    change(folder / "tokenizer.json", colour=1)
    change(folder / "special_tokens_map.json", image_token="<i>")
    said = check_folder(source_of(folder)).warnings
    assert [line.removeprefix(f"{folder}/").rsplit(":", 1)[0] for line in said] == [
        "config.json: rope_theta", "config.json: hobby", "tokenizer_config.json: nickname",
        "tokenizer.json: colour", "special_tokens_map.json: image_token",
    ]  # fmt: skip
    assert "fishing" not in "".join(said)


def test_a_report_says_what_is_read_and_what_changes_nothing(folder: Path) -> None:
    change(folder / "config.json", num_beams=4, quantization_config=None)
    verdicts = {
        (item.file, item.key): item.verdict for item in check_folder(source_of(folder)).keys
    }
    assert verdicts["config.json", "hidden_size"] == "read"
    assert verdicts["config.json", "num_beams"] == "idle"
    assert verdicts["config.json", "quantization_config"] == "idle"
    assert verdicts["tokenizer_config.json", "model_max_length"] == "read"


@pytest.mark.parametrize(
    ("file", "values", "expected"),
    [
        ("config.json", {"quantization_config": {"bits": 4}}, "quantization_config: the weights"),
        ("config.json", {"custom_pipelines": {"x": 1}}, "custom_pipelines: asks for code"),
        ("tokenizer_config.json", {"auto_map": {"x": "y"}}, "auto_map: asks for code"),
        ("config.json", {"problem_type": "regression"}, "regression: its outputs are no labels"),
        ("config.json", {"function_to_apply": "sigmoid"}, "function_to_apply asks for sigmoid"),
        (
            "config.json",
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}},
            "sentence_transformers.activation_fn asks for sigmoid over 3 outputs",
        ),
        (
            "config.json",
            {"sbert_ce_default_activation_function": "torch.nn.Tanh"},
            "sbert_ce_default_activation_function asks for Tanh",
        ),
        (
            "config.json",
            {"problem_type": "multi_label_classification", "function_to_apply": "softmax"},
            "function_to_apply asks for softmax",
        ),
    ],
)
def test_what_changes_answers_otherwise_is_refused_by_name(
    folder: Path, file: str, values: dict[str, Any], expected: str
) -> None:
    change(folder / file, **values)
    with pytest.raises(InputError) as caught:
        check_folder(source_of(folder))
    assert str(caught.value).startswith(f"{folder / file}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize("function", ["softmax", "SOFTMAX", "none"])
def test_what_the_task_does_anyhow_passes(folder: Path, function: str) -> None:
    change(folder / "config.json", function_to_apply=function)
    identity = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0"}
    change(folder / "config.json", sentence_transformers=identity)
    assert check_folder(source_of(folder)).warnings == ()


@pytest.mark.parametrize(
    ("file", "values", "expected"),
    [
        (
            "config_sentence_transformers.json",
            {"truncate_dim": 8},
            "truncate_dim: answers have all",
        ),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type"),
        ("config_sentence_transformers.json", {"default_prompt_name": "q"}, "default_prompt_name"),
        ("sentence_bert_config.json", {"model_args": {"dtype": "float16"}}, "model_args"),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {"padding": 1}}},
            "processing",
        ),
        (
            "sentence_bert_config.json",
            {"transformer_task": "fill-mask"},
            "transformer_task: for this",
        ),
        (
            "sentence_bert_config.json",
            {"modality_config": {"text": {"method": "x", "method_output_name": "y"}}},
            "modality_config: text",
        ),
        ("config_sentence_transformers.json", {"default_prompt_name": ["q"]}, "default_prompt"),
        ("config_sentence_transformers.json", {"prompts": {"q": "\ud800"}}, "a lone surrogate"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length: must be a whole"),
        ("sentence_bert_config.json", {"max_seq_length": "9"}, "max_seq_length: must be a whole"),
        ("1_Pooling/config.json", {"pooling_mode": "attention"}, "pooling_mode: known are: cls"),
        ("1_Pooling/config.json", {"pooling_mode": []}, "pooling_mode: known are: cls"),
    ],
)
def test_a_setting_of_an_embedder_that_is_not_followed_is_refused(
    folder: Path, file: str, values: dict[str, Any], expected: str
) -> None:
    write_pooling(folder, "mean_tokens")
    change(folder / file, **values)
    with pytest.raises(InputError, match=expected) as caught:
        check_folder(source_of(folder, EMBEDDER))
    assert str(folder / file) in str(caught.value)


def test_prompts_that_encode_does_not_use_are_named(folder: Path) -> None:
    write_pooling(folder, "mean_tokens")
    path = folder / "config_sentence_transformers.json"
    change(path, prompts={"query": "q: ", "document": ""}, default_prompt_name=None)
    (line,) = check_folder(source_of(folder, EMBEDDER)).warnings
    assert "prompts: query: edgekit answers as encode does" in line
    change(path, default_prompt_name="query")
    assert check_folder(source_of(folder, EMBEDDER)).warnings == ()


def test_files_of_an_embedder_without_their_list_are_passed_over_aloud(folder: Path) -> None:
    change(folder / "sentence_bert_config.json", max_seq_length=4)
    taken, line = check_folder(source_of(folder, EMBEDDER)).warnings
    assert "no modules.json: a vector is the mean over the tokens, and gets length 1" in taken
    assert "sentence_bert_config.json: passed over, since there is no modules.json" in line


def test_a_later_sentence_transformers_says_so_and_its_new_keys_are_refused(folder: Path) -> None:
    write_pooling(folder, "mean_tokens")
    change(
        folder / "config_sentence_transformers.json",
        __version__={"sentence_transformers": "6.1.0"},
    )
    (line,) = check_folder(source_of(folder, EMBEDDER)).warnings
    assert "written by sentence-transformers 6.1.0" in line
    change(folder / "1_Pooling" / "config.json", temperature=2)
    with pytest.raises(InputError, match=r"temperature: not known here, and sentence-trans.* 6\.1"):
        check_folder(source_of(folder, EMBEDDER))


def test_a_newer_transformers_says_so_and_its_new_keys_are_refused(folder: Path) -> None:
    change(folder / "config.json", transformers_version="5.9.1")
    (line,) = check_folder(source_of(folder)).warnings
    assert "written by transformers 5.9.1; transformers 4." in line
    change(folder / "config.json", attention_sinks=4)
    with pytest.raises(InputError, match=r"attention_sinks: not known here, and transformers 5\.9"):
        check_folder(source_of(folder))
