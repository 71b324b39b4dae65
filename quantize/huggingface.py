"""A Hugging Face folder in PyTorch: the model and its tokenizer.

Nothing is fetched, no code is run.
"""

import importlib.util
from pathlib import Path
from typing import Any

import msgspec

from edgekit.edge.tasks.text import TextConfig
from edgekit.errors import InputError
from edgekit.quantize.config_json import library_config, read_object
from edgekit.quantize.pooling import Pooling, read_pooling
from edgekit.quantize.source import todays_name, weight_shapes
from edgekit.quantize.sources import checkpoint_of, source_task

POSITIONS_FROM_PADDING = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "mpnet",
    "xmod",
)
MOST_TOKENS = 1 << 20  # a library without a limit writes 10^30
SENTENCE_PIECES = ("spm.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")


def load_model(folder: Path, task: str) -> Any:  # noqa: ANN401 - a torch module
    """Load the model in fp32, on the CPU, in evaluation mode."""
    import torch
    import transformers

    model = getattr(transformers, checkpoint_of(task).auto_class).from_pretrained(
        folder,
        config=library_config(folder),
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        attn_implementation="eager",
    )
    return model.eval()


def load_tokenizer(folder: Path, task: str) -> Any:  # noqa: ANN401 - of transformers
    """Load the fast tokenizer; raises InputError.

    It is ready for words that are cut already where the task answers by word, and puts texts into
    small letters where the folder of Sentence Transformers says so.
    """
    cut = source_task(task).by_word and _is_byte_level(folder)
    options = {"add_prefix_space": True} if cut else {}
    try:
        tokenizer = _tokenizer_class(folder).from_pretrained(
            folder, local_files_only=True, use_fast=True, **options
        )
    except Exception as error:  # noqa: BLE001 - damaged tokenizer files raise anything
        _name_missing_package(folder)
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
    if read_pooling(folder).lower_case:
        _put_lower_case_first(tokenizer.backend_tokenizer)
    return tokenizer


def _tokenizer_class(folder: Path) -> Any:  # noqa: ANN401 - of transformers
    """Return the class that loads the tokenizer: a plain one where its own is not known here."""
    import transformers

    path = folder / "tokenizer_config.json"
    named = read_object(path).get("tokenizer_class") if path.is_file() else None
    is_known = not isinstance(named, str) or hasattr(transformers, named)
    if is_known or not (folder / "tokenizer.json").is_file():
        return transformers.AutoTokenizer
    return transformers.PreTrainedTokenizerFast


def _name_missing_package(folder: Path) -> None:
    """Say what to install where only that is missing to read the tokenizer."""
    pieces = next((name for name in SENTENCE_PIECES if (folder / name).is_file()), None)
    if pieces is None or (folder / "tokenizer.json").is_file():
        return
    missing = [name for name in ("sentencepiece", "google.protobuf") if not _is_installed(name)]
    if missing:
        raise InputError(
            f"{folder}: holds {pieces} and no tokenizer.json; to convert it: pip install"
            " sentencepiece protobuf, or save the fast tokenizer into the folder where"
            " sentencepiece is installed:"
            " AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it lies in
        return False


def _put_lower_case_first(tokenizer: Any) -> None:  # noqa: ANN401 - of tokenizers
    """Put texts into small letters before anything else is done, unless that is done anyhow."""
    from tokenizers import normalizers

    before = tokenizer.normalizer
    steps = list(before) if isinstance(before, normalizers.Sequence) else [before] if before else []
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])


def _is_byte_level(folder: Path) -> bool:
    path = folder / "tokenizer.json"
    return (folder / "merges.txt").is_file() or (
        path.is_file() and '"ByteLevel"' in path.read_text("utf-8")
    )


def longest_input(folder: Path, tokenizer: Any) -> int:  # noqa: ANN401
    """Return how many tokens tokenizer and model can take, and an embedder was made for."""
    config = library_config(folder)
    limits = [int(tokenizer.model_max_length), read_pooling(folder).max_length]
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:  # XLNet has -1: no limit
        if config.model_type in POSITIONS_FROM_PADDING:
            positions -= int(config.pad_token_id) + 1
        limits.append(positions)
    longest = min(limit for limit in limits if limit is not None)
    if longest > MOST_TOKENS:
        raise InputError(
            f"{folder / 'tokenizer_config.json'}: model_max_length: neither the tokenizer nor the"
            " model says how long a text may be; set it"
        )
    return longest


def pooling_of(folder: Path, task: str) -> Pooling:
    """Read an embedder's pooling, with the number of the prompt's tokens; raises InputError."""
    pooling = read_pooling(folder)
    if pooling.is_prompt_pooled or not pooling.prompt:
        return pooling
    tokenizer = load_tokenizer(folder, task)
    ids = tokenizer(
        pooling.prompt, truncation=True, max_length=longest_input(folder, tokenizer)
    ).input_ids
    count = len(ids) - (ids[-1] in tokenizer.all_special_ids)  # without the token of the end
    return msgspec.structs.replace(pooling, prompt_tokens=count)


def compare_shapes(folder: Path, task: str) -> None:
    """Compare the shape of every tensor with what config.json asks for; raises InputError.

    The model that it describes is built without memory.
    """
    import torch
    import transformers

    path = folder / "config.json"
    try:
        with torch.device("meta"):
            model = getattr(transformers, checkpoint_of(task).auto_class).from_config(
                library_config(folder)
            )
    except Exception as error:  # noqa: BLE001 - a wrong config can raise anything in transformers
        raise InputError(
            f"{path}: transformers can't build this model: {first_line(error)}"
        ) from None
    prefix = f"{model.base_model_prefix}."
    held = {
        todays_name(name).removeprefix(prefix): shape
        for name, shape in weight_shapes(folder).items()
    }
    for name, tensor in model.state_dict().items():
        shape = held.get(name.removeprefix(prefix))
        if shape is not None and shape != list(tensor.shape):
            raise InputError(
                f"{path}: makes {name} {list(tensor.shape)}, but the safetensors file holds"
                f" {shape}; config.json and the weights must come from the same training"
            )
    # Vectors are pooled from the tokens: the pooler that some bare encoders have plays no part.
    idle = ("pooler.",) if source_task(task).pools else ()
    needed = [name for name, _ in model.named_parameters() if not name.startswith(idle)]
    missing = [name for name in needed if name.removeprefix(prefix) not in held]
    if missing:
        raise InputError(
            f"{path}: asks for {missing[0]}, which no safetensors file in {folder} holds"
        )


def write_task(folder: Path, task: str, max_length: int | None, out: Path) -> None:
    """Write task.json and tokenizer.json to `out`; raises InputError."""
    tokenizer = load_tokenizer(folder, task)
    longest = longest_input(folder, tokenizer)
    if max_length is not None and max_length > longest:
        raise InputError(
            f"model.max_length = {max_length}: the model in {folder} takes at most {longest} tokens"
        )
    pooling = read_pooling(folder)
    if "weightedmean" in pooling.modes and tokenizer.padding_side == "left":
        raise InputError(
            f"{folder / 'tokenizer_config.json'}: padding_side = left: a weighted mean counts the"
            " padding there, so that a text's vector depends on the others of its batch"
        )
    tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
    common = TextConfig(
        max_length=max_length or longest,
        pad_id=tokenizer.pad_token_id,
        pad_token=tokenizer.pad_token,
        pad_type_id=tokenizer.pad_token_type_id,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        split_special_tokens=tokenizer.split_special_tokens,
        prompt=pooling.prompt,
    )
    config = checkpoint_of(task).describe(folder, common)
    (out / "task.json").write_bytes(config.to_json())


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message, for one line of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
