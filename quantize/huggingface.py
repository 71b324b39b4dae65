"""A Hugging Face folder in PyTorch: the model and its tokenizer.

Nothing is fetched, no code is run.
"""

from pathlib import Path
from typing import Any

from edgekit.edge.tasks.text import TextConfig
from edgekit.errors import InputError
from edgekit.quantize.config_json import read_config
from edgekit.quantize.pooling import read_pooling
from edgekit.quantize.source import weight_shapes
from edgekit.quantize.sources import checkpoint_of, source_task
from edgekit.spec import OnTooLong

POSITIONS_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")


def load_model(folder: Path, task: str) -> Any:  # noqa: ANN401 - a torch module
    """Load the model in fp32, on the CPU, in evaluation mode."""
    import torch
    import transformers

    model = getattr(transformers, checkpoint_of(task).auto_class).from_pretrained(
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
    """Load the fast tokenizer; raises InputError.

    It is ready for words that are cut already where the task answers by word.
    """
    from transformers import AutoTokenizer

    cut = source_task(task).by_word and _is_byte_level(folder)
    options = {"add_prefix_space": True} if cut else {}
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
    """Return how many tokens tokenizer and model can take, and an embedder was made for."""
    config = read_config(folder)
    positions = int(config.get("max_position_embeddings", 512))
    if config.get("model_type") in POSITIONS_FROM_PADDING:
        positions -= int(config.get("pad_token_id", 1)) + 1
    return min(
        int(tokenizer.model_max_length), positions, read_pooling(folder).max_length or positions
    )


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
                _config(folder)
            )
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
    # Vectors are pooled from the tokens: the pooler that some bare encoders have plays no part.
    idle = ("pooler.",) if source_task(task).pools else ()
    needed = [name for name, _ in model.named_parameters() if not name.startswith(idle)]
    missing = [name for name in needed if name.removeprefix(prefix) not in held]
    if missing:
        raise InputError(
            f"{path}: asks for {missing[0]}, which no safetensors file in {folder} holds"
        )


def write_task(
    folder: Path, task: str, max_length: int | None, on_too_long: OnTooLong, out: Path
) -> None:
    """Write task.json and tokenizer.json to `out`; raises InputError."""
    tokenizer = load_tokenizer(folder, task)
    longest = longest_input(folder, tokenizer)
    if max_length is not None and max_length > longest:
        raise InputError(
            f"model.max_length = {max_length}: the model in {folder} takes at most {longest} tokens"
        )
    tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
    common = TextConfig(
        max_length=max_length or longest,
        pad_id=tokenizer.pad_token_id,
        pad_token=tokenizer.pad_token,
        pad_type_id=tokenizer.pad_token_type_id,
        padding_side=tokenizer.padding_side,
        on_too_long=on_too_long,
    )
    config = checkpoint_of(task).describe(folder, common)
    (out / "task.json").write_bytes(config.to_json())


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message, for one line of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
