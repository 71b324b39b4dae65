"""Source: a trained model in a folder, checked before anything is built from it.

A Hugging Face folder (config.json and safetensors), or a folder with model.onnx or model.gguf, and
task.json. Pickles and Python files are refused by their content and name, never loaded: a pickle
runs code when it is opened.
"""

import itertools
import json
import mmap
import pickletools
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from edgekit.digests import describe_folder, digest_bytes
from edgekit.errors import InputError
from edgekit.nouns import File, Noun
from edgekit.quantize.config_json import config_labels, read_config
from edgekit.quantize.sources import architectures

MAX_HEADER = 100_000_000  # bytes; the bound of the safetensors format
MAX_LAYERS = 1024  # beyond this a config lies
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
PICKLE_STEPS = 32  # opcodes in a row that no other file has by chance
# As the oldest checkpoints call the parts of a normalization; transformers renames them, too.
EXPORTS = ("model.onnx", "model_quantized.onnx", "model_optimized.onnx", "openvino_model.xml")
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class Source(Noun, frozen=True, kw_only=True):
    """A trained model in a folder, whose files were checked.

    kind: what its files are.
    path: the folder.
    origin: the folder as the user named it, where `path` is a translated copy; else "".
    task: what the model does, by its name in edgekit.edge.tasks.
    architecture: the class that config.json names, or the kind.
    is_quantized: it is taken as it is, and compared with another model or measured on its own.
    sha256: over the names and contents of all files.
    files: every file in the folder.
    """

    kind: Kind
    path: str
    origin: str = ""
    task: str
    architecture: str
    is_quantized: bool = False
    sha256: str
    files: tuple[File, ...]


def read_source(folder: Path, task: str) -> Source:
    """Check a source's files as far as no heavy library is needed; raises InputError."""
    _refuse_code(folder)
    kind: Kind
    if _is_huggingface(folder):
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


def _is_huggingface(folder: Path) -> bool:
    """Tell whether it is a folder of transformers; raises InputError for its neighbours.

    An export of optimum has config.json, too: it is an ONNX model.
    """
    if not (folder / "config.json").is_file():
        return False
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder / 'adapter_config.json'}: an adapter, which stands on another model; merge"
            " them (model.merge_and_unload().save_pretrained(FOLDER)) and build from that folder"
        )
    exported = next((name for name in EXPORTS if (folder / name).is_file()), None)
    if exported is None or any(folder.glob("*.safetensors")):
        return True
    if exported == "model.onnx" and (folder / "task.json").is_file():
        return False
    raise InputError(
        f"{folder}: an export ({exported} beside config.json, no safetensors); name the folder that"
        " it was exported from in model.source, or keep it as model.onnx and write task.json beside"
        " it (docs/your-own-model.md)"
    )


def _holds_any(path: Path, words: Sequence[bytes]) -> bool:
    """Tell whether a word is in a file; ONNX writes the names of operators as they are."""
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
    """Look for a pickle's opcodes, or PyTorch's zip around one.

    Two bytes of any binary file can be those that a pickle begins with: what follows must read as
    one as well.
    """
    with path.open("rb") as file:
        head = file.read(4)
        if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            file.seek(0)
            return _reads_as_pickle(file)
    if head != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _reads_as_pickle(file: BinaryIO) -> bool:
    """Tell whether a file is opcodes up to the one that ends a pickle, or many of them."""
    try:
        for _ in itertools.islice(pickletools.genops(file), PICKLE_STEPS):
            pass
    except Exception:  # noqa: BLE001 - what is no pickle can raise anything
        return False
    return True


def _check_config(folder: Path, task: str) -> str:
    path, config = folder / "config.json", read_config(folder)
    if "auto_map" in config:
        raise InputError(
            f"{path}: auto_map asks for remote code, which is never run; use an architecture of"
            " transformers"
        )
    if not isinstance(config.get("model_type"), str):
        raise InputError(
            f'{path}: model_type is missing; add it, such as "model_type": "bert" for a'
            " BertForSequenceClassification"
        )
    named = config.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise InputError(
            f"{path}: architectures must name one class, such as BertForSequenceClassification"
        )
    known = architectures()
    if task not in known or not named[0].endswith(known[task]):
        fitting = [name for name, ending in known.items() if named[0].endswith(ending)]
        right = (
            f"its task is {fitting[0]!r}"
            if fitting
            else f"supported are: {', '.join(known.values())}"
        )
        raise InputError(f"{path}: a {named[0]} does not do {task!r} (model.task); {right}")
    layers = config.get("num_hidden_layers", 1)
    if not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:
        raise InputError(f"{path}: num_hidden_layers must be a number from 1 to {MAX_LAYERS}")
    config_labels(folder)
    return named[0]


def find_hf_task(folder: Path) -> str:
    """Find the task that a Hugging Face folder's architecture is for; raises InputError."""
    names = read_config(folder).get("architectures") or ["a model without architectures"]
    known = architectures()
    task = next((name for name, ending in known.items() if str(names[0]).endswith(ending)), None)
    if task is None:
        listed = ", ".join(f"...{ending}" for ending in known.values())
        raise InputError(
            f"{folder / 'config.json'}: {names[0]} is not supported; supported: {listed}"
        )
    return task


def _check_weights(folder: Path) -> None:
    if not weight_shapes(folder):
        raise InputError(
            f"{folder}: no model.safetensors in it; save_pretrained(folder,"
            " safe_serialization=True) writes one"
        )


def weight_shapes(folder: Path) -> dict[str, list[int]]:
    """Read the shape of every tensor in the folder's safetensors files, by name.

    Raises InputError if a file is cut short.
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


def todays_name(name: str) -> str:
    """Return the name of a tensor as today's libraries have it."""
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


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
