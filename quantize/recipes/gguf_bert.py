"""A BERT classifier as GGUF, with its pooler and its label names.

llama.cpp's reference converter drops `pooler.dense` and so writes a classifier that runs and is
wrong. llama.cpp has the place for it (`cls.weight`), so this writer keeps it.
"""

import json
from pathlib import Path
from typing import Any

import gguf
from safetensors import safe_open

from edgekit.errors import InputError
from edgekit.quantize.config_json import config_labels, library_config
from edgekit.quantize.source import todays_name

HEAD = {
    "pooler.dense.weight": "cls.weight",
    "pooler.dense.bias": "cls.bias",
    "classifier.weight": "cls.output.weight",
    "classifier.bias": "cls.output.bias",
}
# Small, and added to every token: they stay in fp32, as in the reference converter.
KEPT = ("position_embd.weight", "token_types.weight")
MATRICES = {
    gguf.LlamaFileType.MOSTLY_F16: gguf.GGMLQuantizationType.F16,
    gguf.LlamaFileType.MOSTLY_BF16: gguf.GGMLQuantizationType.BF16,
}


def write(folder: Path, out: Path, file_type: str) -> None:
    """Write a GGUF file: matrices in `file_type` (MOSTLY_F16 or MOSTLY_BF16), the rest in fp32.
    Raises InputError.
    """
    config = library_config(folder).to_dict()  # with the defaults of what config.json leaves out
    if not (folder / "vocab.txt").is_file() and not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder}: neither vocab.txt nor tokenizer.json")
    kind = gguf.LlamaFileType[file_type]
    writer = gguf.GGUFWriter(out, "bert")
    writer.add_file_type(kind)
    _write_config(writer, config, config_labels(folder))
    _write_vocabulary(writer, folder, config)
    _write_tensors(writer, folder, config, MATRICES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_config(writer: gguf.GGUFWriter, config: dict[str, Any], labels: list[str]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(labels)


def _write_vocabulary(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    tokens = _tokens(folder, config["vocab_size"])
    special = {
        token: index
        for index, token in enumerate(tokens)
        if token.startswith("[") and token.endswith("]")
    }
    kinds = [
        gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens
    ]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(config.get("type_vocab_size", 2))
    writer.add_token_list([token if token in special else _phantom(token) for token in tokens])
    writer.add_token_types(kinds)
    for token, add in (
        ("[CLS]", writer.add_bos_token_id),
        ("[SEP]", writer.add_sep_token_id),
        ("[UNK]", writer.add_unk_token_id),
        ("[PAD]", writer.add_pad_token_id),
        ("[MASK]", writer.add_mask_token_id),
    ):
        if token in special:
            add(special[token])


def _phantom(token: str) -> str:
    """Turn a token of BERT into one of llama.cpp.

    llama.cpp marks the start of a word where BERT marks the middle.
    """
    return token[2:] if token.startswith("##") else "\u2581" + token


def _tokens(folder: Path, size: int) -> list[str]:
    if (folder / "vocab.txt").is_file():
        # A token is a line; some hold signs that end a line elsewhere, such as U+2028.
        lines = (folder / "vocab.txt").read_text("utf-8").removesuffix("\n").split("\n")
        numbered = dict(enumerate(line.rstrip("\r") for line in lines))
    else:
        held = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        table = held["model"]["vocab"]
        # WordPiece and BPE number their tokens; Unigram lists them with their scores.
        numbered = (
            dict(enumerate(token for token, _ in table))
            if isinstance(table, list)
            else {number: token for token, number in table.items()}
        )
        numbered |= {item["id"]: item["content"] for item in held.get("added_tokens") or []}
    last = max(numbered, default=-1)
    return [numbered.get(n, f"[unused_{n}]") for n in range(max(size, last + 1))]


def _write_tensors(
    writer: gguf.GGUFWriter,
    folder: Path,
    config: dict[str, Any],
    matrices: gguf.GGMLQuantizationType,
) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for path in sorted(folder.glob("*.safetensors")):
        # Through torch: NumPy has no bfloat16, in which many checkpoints are saved.
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - not a mapping
                name = _gguf_name(todays_name(key).removeprefix("bert."), names)
                if name is None:
                    continue
                tensor = file.get_tensor(key).float().numpy()
                is_matrix = tensor.ndim == 2 and name not in KEPT
                kind = matrices if is_matrix else gguf.GGMLQuantizationType.F32
                writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)


def _gguf_name(key: str, names: gguf.TensorNameMap) -> str | None:
    if key == "embeddings.position_ids":
        return None
    if key in HEAD:
        return HEAD[key]
    name = names.get_name(key, try_suffixes=(".weight", ".bias"))
    if name is None:
        raise InputError(f"the checkpoint holds {key}, which llama.cpp's BERT does not know")
    return str(name)
