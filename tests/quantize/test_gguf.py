"""GGUF: the converter's setup, what llama.cpp answers beside PyTorch, importance matrices.

It also reads what a file really holds.
"""

import hashlib
import importlib.metadata
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from edgekit.digests import describe_folder
from edgekit.edge.engines import engine_version, load_engine
from edgekit.errors import InputError, MissingPackage
from edgekit.nouns import Setting
from edgekit.quantize import gguf_tools
from edgekit.quantize.pooling import read_pooling
from edgekit.quantize.recipes import RECIPES, Ingredients, gguf_float
from edgekit.quantize.source import Source, find_hf_task
from edgekit.quantize.weight_types import contents, tensor_types
from tests.conftest import edgekit
from tests.encoders import answer, make_encoder, make_feeds

needs_engine = pytest.mark.skipif(
    engine_version("llama.cpp") is None, reason="llama-cpp-python is not installed"
)
# Its AMX kernels crash on some machines; here the figures count, not the speed.
SAFE = Setting(threads=1, options={"extra_bufts": False})
LENGTHS = [3, 17, 60, 256, 8]  # 256 is all that the models take


def ingredients(
    folder: Path,
    out: Path,
    recipe: str,
    base: Path | None = None,
    **more: Any,  # noqa: ANN401
) -> Ingredients:
    """What a recipe gets for the model in `folder`."""
    config = json.loads((folder / "config.json").read_text())
    source = Source(
        kind="huggingface",
        path=str(folder),
        task=find_hf_task(folder),
        architecture=config["architectures"][0],
        sha256="",
        files=describe_folder(folder),
    )
    out.mkdir()
    return Ingredients(
        source=source,
        base=base,
        calibration=more.get("calibration", []),
        tuning=[],
        isa=(),
        out=out,
        progress=lambda what, share: None,
        options=RECIPES[recipe].options,
    )


# --- edgekit setup gguf ---


def make_sdist(path: Path, files: dict[str, bytes], version: str = "") -> Path:
    """A source distribution with these files in vendor/llama.cpp."""
    version = version or importlib.metadata.version("llama-cpp-python")
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"llama_cpp_python-{version}/vendor/llama.cpp/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


GOOD = {
    "convert_hf_to_gguf.py": b"#",
    "conversion/base.py": b"#",
    "conversion/bert.py": b"#",
    "gguf-py/gguf/__init__.py": b"#",
    "LICENSE": b"MIT",
    "src/llama.cpp": b"int main() {}",
    "gguf-py/tests/test.py": b"#",
}


@needs_engine
@pytest.mark.processes
def test_setup_unpacks_the_converter_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingPackage, match="get it with: edgekit setup gguf"):
        gguf_tools.find_converter()
    sdist = make_sdist(tmp_path / "x.tar.gz", GOOD)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    first = edgekit("setup", "gguf", "--sdist", sdist, "--sha256", digest, "--json").json
    assert first["checked"] == "--sha256"
    folder = gguf_tools.find_converter()
    assert str(folder) == first["folder"]
    assert {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } == {
        "convert_hf_to_gguf.py",
        "conversion/base.py",
        "conversion/bert.py",
        "gguf-py/gguf/__init__.py",
        "LICENSE",
    }
    again = edgekit("setup", "gguf", "--sdist", sdist)
    assert again.out == f"{folder}: already here\n"


@needs_engine
@pytest.mark.parametrize(
    ("files", "version", "expected"),
    [
        ({**GOOD, "conversion/../../../../evil.py": b"#"}, "", "not a sound archive"),
        ({"convert_hf_to_gguf.py": b"#"}, "", "holds no converter"),
        (GOOD, "0.0.1", "its own source distribution is needed"),
    ],
)
def test_setup_refuses_what_it_should_not_unpack(
    files: dict[str, bytes], version: str, expected: str, tmp_path: Path
) -> None:
    installed = importlib.metadata.version("llama-cpp-python")
    sdist = make_sdist(tmp_path / "x.tar.gz", files, version)
    with pytest.raises(InputError, match=expected):
        gguf_tools.unpack(sdist, installed, tmp_path / "cache" / "deep" / "folder")
    assert not [
        path for path in tmp_path.rglob("*") if path.name in ("folder", "evil.py", "base.py")
    ]


@needs_engine
@pytest.mark.processes
def test_setup_checks_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sdist = make_sdist(tmp_path / "x.tar.gz", GOOD)
    ran = edgekit("setup", "gguf", "--sdist", sdist, "--sha256", "00", code=2)
    assert "its SHA-256 is" in ran.err
    monkeypatch.setattr(gguf_tools, "KNOWN", {})
    with pytest.raises(InputError, match="name it with --sha256"):
        gguf_tools.set_up(sdist)
    assert not (tmp_path / "cache").exists()


@needs_engine
@pytest.mark.processes
def test_setup_without_an_index_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
    }.items():
        monkeypatch.setenv(key, value)
    ran = edgekit("setup", "gguf", code=1)
    assert "on a machine without an index: edgekit setup gguf --sdist FILE" in ran.err
    assert len(ran.err.splitlines()) == 1


@needs_engine
@pytest.mark.slow
def test_setup_gets_the_source_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = edgekit("setup", "gguf", "--json").json
    known = result["version"] in gguf_tools.KNOWN
    assert result["checked"] == ("edgekit's table" if known else "the package index")
    assert (Path(result["folder"]) / "conversion" / "bert.py").is_file()


@needs_engine
def test_a_file_that_does_not_say_how_to_pool_is_refused(tmp_path: Path) -> None:
    from edgekit.quantize.recipes import gguf_bert

    make_encoder(tmp_path / "model", "BertForSequenceClassification", labels=1)
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("add_pooling_type", "add_classifier_output_labels"):
            patch.setattr(gguf.GGUFWriter, name, lambda _, value: written.append(str(value)))
        gguf_bert.write(tmp_path / "model", tmp_path / "model.gguf", "MOSTLY_F16")
    assert len(written) == 2
    with pytest.raises(RuntimeError, match="says neither labels nor how the tokens are pooled"):
        load_engine("llama.cpp").load(tmp_path, SAFE)


@pytest.fixture(scope="session")
def _converter() -> None:
    """The real one, from the package index if it is not in the cache."""
    edgekit("setup", "gguf")


# --- what llama.cpp answers, beside PyTorch ---

SLOW = pytest.mark.slow


@needs_engine
@pytest.mark.usefixtures("_converter")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # transformers' ModernBERT
@pytest.mark.parametrize(
    ("architecture", "pooling"),
    [
        ("BertForSequenceClassification", "RANK"),
        ("RobertaForSequenceClassification", "RANK"),
        ("ModernBertForSequenceClassification", "RANK"),
        ("BertModel", "MEAN"),
        ("BertModel", "LAST"),
        ("DistilBertModel", "CLS"),
        ("XLMRobertaModel", "CLS"),
        pytest.param("XLMRobertaForSequenceClassification", "RANK", marks=SLOW),
        *(pytest.param("BertModel", pooling, marks=SLOW) for pooling in ("CLS",)),
        pytest.param("DistilBertModel", "MEAN", marks=SLOW),
        *(pytest.param("RobertaModel", pooling, marks=SLOW) for pooling in ("MEAN", "CLS")),
        *(pytest.param("ModernBertModel", pooling, marks=SLOW) for pooling in ("MEAN", "CLS")),
    ],
)
@pytest.mark.processes
def test_llama_cpp_answers_as_pytorch_does(architecture: str, pooling: str, tmp_path: Path) -> None:
    model = make_encoder(tmp_path / "model", architecture)
    if pooling != "RANK":
        say_pooling(tmp_path / "model", **{f"pooling_mode_{MODES[pooling]}": True})
    made = ingredients(tmp_path / "model", tmp_path / "out", "gguf-f16")
    gguf_float.make(made)
    # ModernBERT looks 16 tokens to each side in most layers: longer texts show whether llama.cpp
    # does, too.
    lengths = [*LENGTHS, 700] if "Modern" in architecture else LENGTHS
    session = load_engine("llama.cpp").load(made.out, SAFE)
    for left in (False, True):
        feeds = make_feeds(lengths, left)
        outputs = session.run(feeds)
        assert list(outputs) == ["logits" if pooling == "RANK" else "sentence_embedding"]
        expected = answer(model, make_feeds(lengths), pooling)
        assert np.abs(next(iter(outputs.values())) - expected).max() < 0.01 * np.abs(expected).max()
    feeds = make_feeds([5])
    feeds["input_ids"][0, 2] = 1  # "<pad>", as a text may spell it: RoBERTa gives it no position
    if "Roberta" in architecture:
        with pytest.raises(InputError, match="the text spells the padding token"):
            session.run(feeds)
    else:
        feeds["attention_mask"][:] = 1
        said = next(iter(session.run(feeds).values()))
        expected = answer(model, feeds, pooling)
        assert np.abs(said - expected).max() < 0.01 * np.abs(expected).max()
    if pooling == "RANK":
        fields = gguf.GGUFReader(made.out / "model.gguf").fields
        labels = next(field for name, field in fields.items() if name.endswith("output_labels"))
        assert labels.contents() == [f"label {index}" for index in range(12)]


MODES = {"MEAN": "mean_tokens", "CLS": "cls_token", "LAST": "lasttoken"}


def say_pooling(folder: Path, **modes: bool) -> None:
    """Write the pooling as sentence-transformers does."""
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{kind}" if index else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 64, **modes})
    )


@needs_engine
def test_bf16_keeps_the_pooler_too(tmp_path: Path) -> None:
    model = make_encoder(tmp_path / "model", "BertForSequenceClassification")
    made = ingredients(tmp_path / "model", tmp_path / "out", "gguf-bf16")
    gguf_float.make(made)
    held = contents(made.out)
    assert set(held) == {"bf16", "f32"}
    assert held["bf16"] > held["f32"]
    logits = load_engine("llama.cpp").load(made.out, SAFE).run(make_feeds(LENGTHS))["logits"]
    expected = answer(model, make_feeds(LENGTHS), "RANK")
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("architecture", "config", "expected"),
    [
        (
            "DistilBertForSequenceClassification",
            {},
            "has tanh where a DistilBertForSequenceClassification has ReLU",
        ),
        (
            "MPNetForSequenceClassification",
            {},
            "no GGUF is written for a MPNetForSequenceClassification",
        ),
        ("DebertaV2ForSequenceClassification", {}, "no GGUF is written for a DebertaV2"),
        ("BertForTokenClassification", {}, "no GGUF is written for a BertForTokenClassification"),
        ("BertModel", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ("BertModel", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("ModernBertModel", {"mlp_bias": True}, "mlp_bias = true"),
        ("BertModel", {"is_decoder": True}, "is_decoder = true"),
        (
            "ModernBertForSequenceClassification",
            {"classifier_activation": "tanh"},
            "classifier_activation = 'tanh'",
        ),
    ],
)
def test_what_llama_cpp_does_not_compute_is_refused(
    architecture: str, config: dict[str, object], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture], **config}))
    with pytest.raises(InputError, match=expected):
        gguf_float.check_architecture(architecture, tmp_path)


def test_the_oldest_config_and_a_vocabulary_with_gaps(tmp_path: Path) -> None:
    from edgekit.quantize.recipes import gguf_bert

    folder = tmp_path / "model"
    make_encoder(folder, "BertForSequenceClassification")
    config = json.loads((folder / "config.json").read_text())
    del config["layer_norm_eps"]
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / "tokenizer.json"
    held = json.loads(path.read_text())
    vocabulary = held["model"]["vocab"]
    for name in ("<pad>", "<s>"):  # they stand among the added tokens as well
        del vocabulary[name]
    path.write_text(json.dumps(held))
    gguf_bert.write(folder, tmp_path / "model.gguf", "MOSTLY_F16")
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    assert fields["bert.attention.layer_norm_epsilon"].contents() == pytest.approx(1e-12)
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == config["vocab_size"]
    assert [tokens[n].removeprefix("\u2581") for n in (0, 1, 2, 9)] == [
        "<s>",
        "<pad>",
        "</s>",
        "w4",
    ]


def test_a_token_may_hold_a_sign_that_ends_lines(tmp_path: Path) -> None:
    from edgekit.quantize.recipes import gguf_bert

    (tmp_path / "vocab.txt").write_text("[PAD]\n\u2028\nleak\n", "utf-8")
    assert gguf_bert._tokens(tmp_path, 4) == ["[PAD]", "\u2028", "leak", "[unused_3]"]


def test_how_a_folder_pools(tmp_path: Path) -> None:
    assert read_pooling(tmp_path).modes == ("mean",)
    say_pooling(tmp_path, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    assert read_pooling(tmp_path).modes == ("cls",)
    assert gguf_float.pooling_of(tmp_path) == "CLS"
    say_pooling(tmp_path, pooling_mode_cls_token=True, pooling_mode_mean_tokens=True)
    assert read_pooling(tmp_path).modes == ("cls", "mean")
    with pytest.raises(InputError, match=r"pools by cls, mean: llama\.cpp pools by one of mean"):
        gguf_float.pooling_of(tmp_path)
    say_pooling(tmp_path, pooling_mode_cls_token=True, include_prompt=False)
    described = {"prompts": {"q": "find: "}, "default_prompt_name": "q"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"include_prompt = false: llama\.cpp pools every token"):
        gguf_float.pooling_of(tmp_path)
    text = (tmp_path / "modules.json").read_text()
    (tmp_path / "modules.json").write_text(text.replace("Normalize", "Dense"))
    with pytest.raises(InputError, match="a Dense module is not supported"):
        read_pooling(tmp_path)


# --- importance matrices ---


@needs_engine
def test_importance_is_what_llama_cpp_needs_and_lowers_the_error_that_counts(
    tmp_path: Path,
) -> None:
    from edgekit.quantize.recipes import gguf_imatrix, gguf_quantize

    wide = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2}
    model = make_encoder(tmp_path / "model", "BertForSequenceClassification", **wide)
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):  # channels that differ, as in a trained model
            parameter.data = torch.exp(torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "model", safe_serialization=True)
    calibration = [make_feeds([length]) for length in (5, 30, 60)]
    made = ingredients(tmp_path / "model", tmp_path / "f16", "gguf-f16")
    gguf_float.make(made)
    weights = gguf_imatrix.importance(made.source, calibration, made.progress)
    expected = layer_norm_squares(model, calibration)
    assert np.abs(weights["blk.0.attn_q.weight"] / expected - 1).max() < 1e-4

    matrices = read_matrices(made.out / "model.gguf")
    for kind, held in (("Q4_K_M", "q4_k"), ("Q2_K", "q2_k"), ("IQ4_XS", "iq4_xs")):
        losses = []
        for given in (None, weights):
            out = tmp_path / f"{kind}-{given is None}.gguf"
            gguf_quantize.quantize(made.out / "model.gguf", out, kind, given)
            assert held in tensor_types(out)
            losses.append(sum(
                float((weights[name] * (matrix - matrices[name]) ** 2).sum())
                for name, matrix in read_matrices(out).items() if name in weights
            ))  # fmt: skip
        assert losses[1] < losses[0], kind

    again = ingredients(
        tmp_path / "model",
        tmp_path / "recipe",
        "gguf-q4_k_m-imatrix",
        base=made.out,
        calibration=calibration,
    )
    gguf_quantize.make(again)
    assert (again.out / "model.gguf").read_bytes() == (tmp_path / "Q4_K_M-False.gguf").read_bytes()


def layer_norm_squares(model: Any, calibration: list[dict[str, np.ndarray]]) -> np.ndarray:  # noqa: ANN401
    """Compute the mean square of what enters the first layer, by hand, from the weights."""
    tables = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    rows = []
    for feeds in calibration:
        ids = feeds["input_ids"][0]
        total = tables["bert.embeddings.word_embeddings.weight"][ids]
        total = total + tables["bert.embeddings.position_embeddings.weight"][: len(ids)]
        total = total + tables["bert.embeddings.token_type_embeddings.weight"][0]
        total = (total - total.mean(1, keepdims=True)) / np.sqrt(
            total.var(1, keepdims=True) + 1e-12
        )
        rows.append(
            total * tables["bert.embeddings.LayerNorm.weight"]
            + tables["bert.embeddings.LayerNorm.bias"]
        )
    return np.asarray((np.concatenate(rows) ** 2).mean(0))


def read_matrices(path: Path) -> dict[str, np.ndarray]:
    """Read every matrix of a GGUF file as numbers."""
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(path).tensors
        if len(tensor.shape) == 2
    }


@needs_engine
def test_an_importance_that_lacks_a_matrix_is_no_importance(tmp_path: Path) -> None:
    from edgekit.quantize.recipes import gguf_quantize

    make_encoder(tmp_path / "model", "BertForSequenceClassification")
    made = ingredients(tmp_path / "model", tmp_path / "f16", "gguf-f16")
    gguf_float.make(made)
    with pytest.raises(RuntimeError, match="no importance was collected for"):
        gguf_quantize._check_complete(made.out / "model.gguf", {})


# --- what a file really holds ---


@needs_engine
def test_narrow_rows_fall_back_and_the_contents_say_so(tmp_path: Path) -> None:
    from edgekit.quantize.recipes import gguf_quantize

    make_encoder(tmp_path / "model", "BertForSequenceClassification")
    made = ingredients(tmp_path / "model", tmp_path / "f16", "gguf-f16")
    gguf_float.make(made)
    for recipe in RECIPES.values():
        if recipe.format == "gguf" and recipe.base and not recipe.calibrated:
            out = ingredients(
                tmp_path / "model", tmp_path / recipe.name, recipe.name, base=made.out
            )
            gguf_quantize.make(out)
            held = contents(out.out)
            assert held, recipe.name
            assert "q4_k" not in held  # 64 is no multiple of 256
            assert sum(held.values()) < (out.out / "model.gguf").stat().st_size
            assert list(held.values()) == sorted(held.values(), reverse=True)


@pytest.mark.processes
def test_contents_of_onnx_and_openvino(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node(
                "MatMulNBits",
                ["x", "packed", "scales"],
                ["y"],
                domain="com.microsoft",
                K=64,
                N=8,
                bits=4,
            ),
            helper.make_node(
                "Constant", [], ["c"], value=numpy_helper.from_array(np.ones(3, np.float16), "c")
            ),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [
            numpy_helper.from_array(np.zeros((8, 1, 32), np.uint8), "packed"),
            numpy_helper.from_array(np.zeros(8, np.float32), "scales"),
            numpy_helper.from_array(np.zeros((5, 5), np.int8), "q"),
            helper.make_tensor("n", TensorProto.INT4, [5], [1, 2, 3, 4, 5]),
        ],
    )
    (tmp_path / "o").mkdir()
    onnx.save(helper.make_model(graph), tmp_path / "o" / "model.onnx")
    assert contents(tmp_path / "o") == {"int4": 8 * 32 + 3, "fp32": 32, "int8": 25, "fp16": 6}
    assert contents(tmp_path) == {}

    script = (
        "import sys; sys.modules['openvino_telemetry'] = None\nimport numpy as np, openvino as ov,"
        " openvino.opset13 as op\nx = op.parameter([1, 4], np.float32)\nw ="
        " op.convert(op.constant(np.ones((4, 6), np.int8)), 'f32')\ny = op.add(op.matmul(x, w,"
        " False, False), op.constant(np.ones(6, np.float32)))\nov.save_model(ov.Model([y], [x]),"
        f" {str(tmp_path / 'v' / 'model.xml')!r}, compress_to_fp16=False)\n"
    )
    (tmp_path / "v").mkdir()
    subprocess.run([sys.executable, "-c", script], check=True)
    assert contents(tmp_path / "v") == {"fp32": 24, "int8": 24}
