"""A Hugging Face folder in PyTorch: the model, its tokenizer, and how an embedder pools. Nothing is
fetched, no code is run.
"""

import json
from pathlib import Path
from typing import Any, Literal, cast

from edgekit.errors import InputError
from edgekit.nouns import Noun
from edgekit.quantize.source import is_multi_label, read_config, weight_shapes

POSITIONS_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
AUTO_CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "feature-extraction": "AutoModel",
}
POOLING_MODES: dict[str, Literal["mean", "cls"]] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


class Pooling(Noun, frozen=True, kw_only=True):
    """How an embedder makes one vector of a text's tokens, as Sentence Transformers writes it
    down.
    """

    mode: Literal["mean", "cls"] = "mean"
    normalize: bool = True
    max_length: int | None = None


def load_model(folder: Path, task: str) -> Any:  # noqa: ANN401 - a torch module
    """The model in fp32, on the CPU, in evaluation mode."""
    import torch
    import transformers

    model = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
        folder,
        config=_config(folder),
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        attn_implementation="eager",
    )
    return model.eval()


def _config(folder: Path) -> Any:  # noqa: ANN401 - of transformers
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    # ModernBERT would compile itself, which no exporter follows
    if hasattr(config, "reference_compile"):
        config.reference_compile = False
    return config


def load_tokenizer(folder: Path, task: str) -> Any:  # noqa: ANN401 - of transformers
    """The fast tokenizer, ready for words that are cut already where the task is about words;
    raises InputError.
    """
    from transformers import AutoTokenizer

    options = (
        {"add_prefix_space": True}
        if task == "token-classification" and _is_byte_level(folder)
        else {}
    )
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, use_fast=True, **options
        )
    except Exception as error:  # noqa: BLE001 - damaged tokenizer files raise anything
        raise InputError(
            f"{folder}: no tokenizer that transformers can read: {first_line(error)}"
        ) from None
    if not tokenizer.is_fast:
        raise InputError(
            f"{folder}: its tokenizer has no tokenizer.json form, which the appliance needs"
        )
    if tokenizer.pad_token is None:
        raise InputError(
            f"{folder}: its tokenizer has no padding token; set pad_token in tokenizer_config.json"
        )
    return tokenizer


def _is_byte_level(folder: Path) -> bool:
    path = folder / "tokenizer.json"
    return (folder / "merges.txt").is_file() or (
        path.is_file() and '"ByteLevel"' in path.read_text("utf-8")
    )


def longest_input(folder: Path, tokenizer: Any) -> int:  # noqa: ANN401
    """Tokens: what tokenizer and model can take, and what an embedder was made for."""
    config = read_config(folder)
    positions = int(config.get("max_position_embeddings", 512))
    if config.get("model_type") in POSITIONS_FROM_PADDING:
        positions -= int(config.get("pad_token_id", 1)) + 1
    return min(
        int(tokenizer.model_max_length), positions, read_pooling(folder).max_length or positions
    )


def read_pooling(folder: Path) -> Pooling:
    """From modules.json and 1_Pooling/config.json; mean pooling where a folder has neither. Raises
    InputError.
    """
    if not (folder / "modules.json").is_file():
        return Pooling()
    modules = [
        str(item.get("type", "")).rpartition(".")[2] for item in _read_json(folder / "modules.json")
    ]
    unknown = [name for name in modules if name not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise InputError(f"{folder / 'modules.json'}: a {unknown[0]} module is not supported")
    settings = folder / "sentence_bert_config.json"
    return Pooling(
        mode=_mode(folder / "1_Pooling" / "config.json"),
        normalize="Normalize" in modules,
        max_length=_read_json(settings).get("max_seq_length") if settings.is_file() else None,
    )


def _mode(path: Path) -> Literal["mean", "cls"]:
    config = _read_json(path) if path.is_file() else {"pooling_mode_mean_tokens": True}
    chosen = [
        name for name, value in config.items() if name.startswith("pooling_mode_") and value is True
    ]
    if len(chosen) != 1 or chosen[0] not in POOLING_MODES:
        raise InputError(
            f"{path}: pools by {', '.join(chosen) or 'nothing'}; supported:"
            f" {', '.join(POOLING_MODES)}"
        )
    return POOLING_MODES[chosen[0]]


def _read_json(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def compare_shapes(folder: Path, task: str) -> None:
    """Build the model that config.json describes without memory, and compare every tensor's shape;
    raises InputError.
    """
    import torch
    import transformers

    path = folder / "config.json"
    try:
        with torch.device("meta"):
            model = getattr(transformers, AUTO_CLASSES[task]).from_config(_config(folder))
    except Exception as error:  # noqa: BLE001 - a wrong config can raise anything in transformers
        raise InputError(
            f"{path}: transformers can't build this model: {first_line(error)}"
        ) from None
    prefix = f"{model.base_model_prefix}."
    held = {name.removeprefix(prefix): shape for name, shape in weight_shapes(folder).items()}
    for name, tensor in model.state_dict().items():
        shape = held.get(name.removeprefix(prefix))
        if shape is not None and shape != list(tensor.shape):
            raise InputError(
                f"{path}: makes {name} {list(tensor.shape)}, but the safetensors file holds"
                f" {shape}; config.json and the weights must come from the same training"
            )
    # An embedder's vectors come from the tokens: the pooler that some bare encoders have plays no
    # part.
    names = [name for name, _ in model.named_parameters()]
    needed = [
        name for name in names if task != "feature-extraction" or not name.startswith("pooler.")
    ]
    missing = [name for name in needed if name.removeprefix(prefix) not in held]
    if missing:
        raise InputError(
            f"{path}: asks for {missing[0]}, which no safetensors file in {folder} holds"
        )


def write_task(
    folder: Path, task: str, labels: list[str], max_length: int | None, out: Path
) -> None:
    """task.json and tokenizer.json; raises InputError."""
    from edgekit.edge.tasks import feature_extraction, text_classification, token_classification

    tokenizer = load_tokenizer(folder, task)
    longest = longest_input(folder, tokenizer)
    if max_length is not None and max_length > longest:
        raise InputError(
            f"model.max_length = {max_length}: the model in {folder} takes at most {longest} tokens"
        )
    tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
    common: dict[str, Any] = {
        "max_length": max_length or longest,
        "pad_id": tokenizer.pad_token_id,
        "pad_token": tokenizer.pad_token,
        "pad_type_id": tokenizer.pad_token_type_id,
        "padding_side": tokenizer.padding_side,
    }
    config: Noun
    if task == "feature-extraction":
        hidden = read_config(folder)
        config = feature_extraction.Config(
            dimensions=cast(int, hidden.get("hidden_size", hidden.get("dim"))),
            normalize=read_pooling(folder).normalize,
            **common,
        )
    elif task == "token-classification":
        config = token_classification.Config(labels=labels, **common)
    else:
        config = text_classification.Config(
            labels=labels, multi_label=is_multi_label(folder), **common
        )
    (out / "task.json").write_bytes(config.to_json())


def first_line(error: BaseException) -> str:
    """Of a library's message, for one line of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
