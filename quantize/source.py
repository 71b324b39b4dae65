"""Source: a trained model in a folder, checked before anything is built from it.

A Hugging Face folder (config.json and safetensors), or a folder with model.onnx or model.gguf, and
task.json. Pickles and Python files are refused by their content and name, never loaded: a pickle
runs code when it is opened.
"""

import json
import mmap
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgekit.digests import describe_folder, digest_bytes
from edgekit.errors import InputError
from edgekit.nouns import File, Noun

MAX_HEADER = 100_000_000  # bytes; the bound of the safetensors format
MAX_LAYERS = 1024  # beyond this a config lies
# How the class that config.json names ends; a bare encoder has nothing behind "Model".
ARCHITECTURES = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "feature-extraction": "Model",
}
Kind = Literal["huggingface", "onnx", "gguf"]
QUANTIZED_OPERATORS = (
    b"QuantizeLinear",
    b"QLinear",
    b"MatMulNBits",
    b"MatMulInteger",
    b"ConvInteger",
)
CODE = (".py", ".pyc", ".so", ".dll", ".dylib")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")


class Source(Noun, frozen=True, kw_only=True):
    """What is built from.

    architecture: the class that config.json names, or the kind.
    is_quantized: it is taken as it is, and compared with another model or measured on its own.
    sha256: over the names and contents of all files.
    """

    kind: Kind
    path: str
    task: str
    architecture: str
    is_quantized: bool = False
    sha256: str
    files: tuple[File, ...]


def read_source(folder: Path, task: str) -> Source:
    """Check a source's files as far as no heavy library is needed; raises InputError."""
    _refuse_code(folder)
    kind: Kind
    if (folder / "config.json").is_file():
        kind, architecture = "huggingface", _check_config(folder, task)
        _check_weights(folder)
    elif (folder / "model.onnx").is_file():
        kind = architecture = "onnx"
    elif (folder / "model.gguf").is_file():
        kind = architecture = "gguf"
    else:
        raise InputError(
            f"{folder}: no model in it: neither config.json with safetensors (Hugging Face) nor"
            " model.onnx or model.gguf with task.json"
        )
    is_quantized = kind == "gguf" or (
        kind == "onnx" and _holds_any(folder / "model.onnx", QUANTIZED_OPERATORS)
    )
    files = describe_folder(folder)
    digest = digest_bytes(msgspec.json.encode([(file.path, file.sha256) for file in files]))
    return Source(
        kind=kind,
        path=str(folder),
        task=task,
        architecture=architecture,
        is_quantized=is_quantized,
        sha256=digest,
        files=files,
    )


def _holds_any(path: Path, words: Sequence[bytes]) -> bool:
    """Whether one of the words is in a file; ONNX writes the names of operators as they are."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(word) >= 0 for word in words)


def _refuse_code(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.suffix.lower() in CODE:
            raise InputError(
                f"{path}: code does not belong in a model's folder; remove it (remote code is never"
                " run)"
            )
        if path.suffix.lower() in PICKLES or _is_pickle(path):
            raise InputError(
                f"{path}: a pickle, which runs code when it is opened; save the model as"
                " safetensors (model.save_pretrained(folder, safe_serialization=True)) and remove"
                " this file"
            )


def _is_pickle(path: Path) -> bool:
    """By content: a pickle's first opcodes, or PyTorch's zip around one."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    if head != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as a mapping; raises InputError."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return config


def _check_config(folder: Path, task: str) -> str:
    path, config = folder / "config.json", read_config(folder)
    if "auto_map" in config:
        raise InputError(
            f"{path}: auto_map asks for remote code, which is never run; use an architecture of"
            " transformers"
        )
    architectures = config.get("architectures")
    if (
        not isinstance(architectures, list)
        or len(architectures) != 1
        or not isinstance(architectures[0], str)
    ):
        raise InputError(
            f"{path}: architectures must name one class, such as BertForSequenceClassification"
        )
    ending = ARCHITECTURES.get(task)
    if ending is None or not architectures[0].endswith(ending):
        fitting = [
            name for name, value in ARCHITECTURES.items() if architectures[0].endswith(value)
        ]
        right = (
            f"its task is {fitting[0]!r}"
            if fitting
            else f"supported are: {', '.join(ARCHITECTURES.values())}"
        )
        raise InputError(f"{path}: a {architectures[0]} does not do {task!r} (model.task); {right}")
    layers = config.get("num_hidden_layers", 1)
    if not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:
        raise InputError(f"{path}: num_hidden_layers must be a number from 1 to {MAX_LAYERS}")
    config_labels(folder)
    return architectures[0]


def find_hf_task(folder: Path) -> str:
    """The task that a Hugging Face folder's architecture is for; raises InputError."""
    names = read_config(folder).get("architectures") or ["a model without architectures"]
    task = next(
        (name for name, ending in ARCHITECTURES.items() if str(names[0]).endswith(ending)), None
    )
    if task is None:
        known = ", ".join(f"...{ending}" for ending in ARCHITECTURES.values())
        raise InputError(
            f"{folder / 'config.json'}: {names[0]} is not supported; supported: {known}"
        )
    return task


def is_multi_label(folder: Path) -> bool:
    """Whether any number of labels may apply to a text, as config.json says."""
    return read_config(folder).get("problem_type") == "multi_label_classification"


def config_labels(folder: Path) -> list[str]:
    """The labels of a Hugging Face folder in the order of the model's outputs; raises
    InputError.
    """
    path, config = folder / "config.json", read_config(folder)
    table = config.get("id2label")
    if not isinstance(table, dict):
        count = config.get("num_labels", 2)
        return [f"LABEL_{index}" for index in range(count if isinstance(count, int) else 2)]
    try:
        labels = {int(key): str(value) for key, value in table.items()}
    except ValueError:
        raise InputError(f"{path}: id2label must have the outputs' numbers as its keys") from None
    if sorted(labels) != list(range(len(labels))) or len(set(labels.values())) != len(labels):
        raise InputError(
            f"{path}: id2label must number distinct labels from 0 to {len(labels) - 1}, each once"
        )
    return [labels[index] for index in range(len(labels))]


def _check_weights(folder: Path) -> None:
    if not weight_shapes(folder):
        raise InputError(
            f"{folder}: no model.safetensors in it; save_pretrained(folder,"
            " safe_serialization=True) writes one"
        )


def weight_shapes(folder: Path) -> dict[str, list[int]]:
    """The shape of every tensor in the folder's safetensors files, by name; raises InputError if
    one is cut short.
    """
    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        header, start = _header(path)
        size = path.stat().st_size
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            try:
                end = start + entry["data_offsets"][1]
                shapes[name] = [int(side) for side in entry["shape"]]
            except (KeyError, TypeError, IndexError, ValueError):
                raise InputError(
                    f"{path}: the header's entry of {name!r} is damaged; copy the file again"
                ) from None
            if end > size:
                raise InputError(
                    f"{path}: truncated: {name!r} ends at byte {end}, and the file has {size}; copy"
                    " the file again"
                )
    return shapes


def _header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        text = file.read(length) if 0 < length <= MAX_HEADER else b""
    try:
        header = json.loads(text) if len(text) == length else None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InputError(f"{path}: truncated or not a safetensors file; copy the file again")
    return header, 8 + length
