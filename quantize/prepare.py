"""Two jobs before the recipes: look closely at the source, and let it answer as the reference.

The reference is PyTorch in fp32 for a Hugging Face folder, and ONNX Runtime without graph optimizations for an .onnx.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.engines import load_engine
from edgekit.edge.model import Model
from edgekit.edge.tasks import Task, Tensors, load_task
from edgekit.edge.tasks.text_classification import Config as TextConfig
from edgekit.errors import InputError
from edgekit.job import Progress
from edgekit.nouns import Golden, Noun, Setting
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.quantize.source import Source, config_labels, read_config, weight_shapes

REFERENCE_BATCH = 32  # texts of mixed lengths together, as they come in the file
GOLDEN_SAMPLES = 16
GOLDEN_SEED = 20
REFERENCES = {"huggingface": "PyTorch fp32", "onnx": "ONNX Runtime fp32, no graph optimizations"}


class InspectRequest(Noun, frozen=True, kw_only=True):
    """What `inspect_job` is asked."""

    source: Source
    max_length: int | None
    out: str


class ReferenceRequest(Noun, frozen=True, kw_only=True):
    """What `reference_job` is asked."""

    source: Source
    task_folder: str
    evaluation: str
    columns: list[str]
    label: str
    release_rows: list[int]
    out: str


def inspect_job(request: object, progress: Progress) -> None:
    """Compare the weights with what the config says, and write task.json (and tokenizer.json) to `out`."""
    asked = msgspec.convert(request, InspectRequest)
    progress("checking the source", 0)
    folder, out = Path(asked.source.path), Path(asked.out)
    if asked.source.kind == "onnx":
        _inspect_onnx(folder, out)
    else:
        _compare_shapes(folder)
        _write_text_task(folder, asked.max_length, out)


def reference_job(request: object, progress: Progress) -> None:
    """Write the reference's logits.npy for the evaluation file, and golden.json, to `out`."""
    asked = msgspec.convert(request, ReferenceRequest)
    task_folder, out = Path(asked.task_folder), Path(asked.out)
    task = load_task(task_folder)
    data = read_dataset(Path(asked.evaluation), task, asked.columns, asked.label)
    answer = _reference(asked.source, task)
    np.save(out / "logits.npy", _in_batches(answer, data.inputs, progress))
    wire = _released(asked, task, data) or task.made_inputs(GOLDEN_SAMPLES, GOLDEN_SEED)
    logits = answer([task.parse(value) for value in wire])
    golden = Golden(inputs=wire, logits=[[float(x) for x in row] for row in logits])
    (out / "golden.json").write_bytes(golden.to_json())


def _in_batches(
    answer: Callable[[Sequence[Any]], np.ndarray], inputs: Sequence[Any], progress: Progress
) -> np.ndarray:
    parts = []
    for start in range(0, len(inputs), REFERENCE_BATCH):
        progress("running the reference", start / len(inputs))
        parts.append(answer(inputs[start : start + REFERENCE_BATCH]))
    return np.concatenate(parts)


def _released(asked: ReferenceRequest, task: Task, data: Dataset) -> list[object]:
    """The wire form of the evaluation rows that the spec lets travel."""
    beyond = [number for number in asked.release_rows if number > len(data)]
    if beyond:
        raise InputError(f"data.release_rows: {data.path} has no row {beyond[0]}; it has {len(data)}")
    return [task.wire(data.inputs[number - 1]) for number in asked.release_rows]


def _reference(source: Source, task: Task) -> Callable[[Sequence[Any]], np.ndarray]:
    """Inputs to float32 [inputs, labels], as the source itself answers."""
    folder = Path(source.path)
    if source.kind == "onnx":
        plain = Setting(options={"graph_optimization": "off"}, batch_size=REFERENCE_BATCH)
        return Model(task, load_engine("onnxruntime").load(folder, plain), plain).logits

    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, attn_implementation="eager"
    ).eval()
    names = _forward_names(model)

    def answer(inputs: Sequence[Any]) -> np.ndarray:
        feeds: Tensors = task.encode(inputs)
        with torch.inference_mode():
            output = model(**{name: torch.from_numpy(feeds[name]) for name in names if name in feeds})
        return np.asarray(output.logits.numpy())

    return answer


def _forward_names(model: Any) -> list[str]:  # noqa: ANN401
    import inspect

    return list(inspect.signature(model.forward).parameters)


def _compare_shapes(folder: Path) -> None:
    """Build the model that config.json describes without memory, and compare every tensor's shape."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    path = folder / "config.json"
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(config)
    except Exception as error:  # noqa: BLE001 - a wrong config can raise anything in transformers
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{path}: transformers can't build this model: {first}") from None
    held = weight_shapes(folder)
    for name, tensor in model.state_dict().items():
        if name in held and held[name] != list(tensor.shape):
            raise InputError(
                f"{path}: makes {name} {list(tensor.shape)}, but the safetensors file holds {held[name]}; "
                "config.json and the weights must come from the same training"
            )
    missing = [name for name, _ in model.named_parameters() if name not in held]
    if missing:
        raise InputError(f"{path}: asks for {missing[0]}, which no safetensors file in {folder} holds")


def _write_text_task(folder: Path, max_length: int | None, out: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
    except Exception as error:  # noqa: BLE001 - damaged tokenizer files raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{folder}: no tokenizer that transformers can read: {first}") from None
    if not tokenizer.is_fast:
        raise InputError(f"{folder}: its tokenizer has no tokenizer.json form, which the appliance needs")
    longest = min(tokenizer.model_max_length, _positions(folder))
    if max_length is not None and max_length > longest:
        raise InputError(
            f"model.max_length = {max_length}: the model in {folder} takes at most {longest} tokens"
        )
    tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
    if tokenizer.pad_token is None:
        raise InputError(
            f"{folder}: its tokenizer has no padding token; set pad_token in tokenizer_config.json"
        )
    config = TextConfig(
        labels=config_labels(folder),
        max_length=max_length or longest,
        pad_id=tokenizer.pad_token_id,
        pad_token=tokenizer.pad_token,
        pad_type_id=tokenizer.pad_token_type_id,
        padding_side=tokenizer.padding_side,
    )
    (out / "task.json").write_bytes(config.to_json())


def _positions(folder: Path) -> int:
    """The number of positions that the model has embeddings for."""
    config = read_config(folder)
    positions = config.get("max_position_embeddings", 512)
    # RoBERTa and its kin count positions from the padding id on.
    offset = (
        config.get("pad_token_id", 0) + 1
        if config.get("model_type") in ("roberta", "xlm-roberta", "camembert")
        else 0
    )
    return int(positions) - int(offset)


def _inspect_onnx(folder: Path, out: Path) -> None:
    import onnx

    path = folder / "model.onnx"
    task = load_task(folder)
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001 - protobuf and the checker have errors of their own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{path}: not a sound ONNX model: {first}") from None
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise InputError(
                f"{path}: {tensor.name} lies in another file; save the model with its weights inside"
            )
    inputs = {item.name for item in model.graph.input} - {item.name for item in model.graph.initializer}
    given = set(task.encode([task.parse(value) for value in task.made_inputs(2, 0)]))
    if not inputs <= given:
        raise InputError(
            f"{path}: its input {min(inputs - given)!r} is none of those that task.json makes: {sorted(given)}"
        )
    for name in ("task.json", "tokenizer.json"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    _check_outputs(folder, task)


def _check_outputs(folder: Path, task: Task) -> None:
    made = [task.parse(value) for value in task.made_inputs(2, 0)]
    setting = Setting(options={"graph_optimization": "off"})
    outputs = load_engine("onnxruntime").load(folder, setting).run(task.encode(made))
    try:
        shape = task.logits(outputs).shape
    except KeyError as error:
        raise InputError(
            f"{folder / 'task.json'}: output: the model has no {error}; it has: {', '.join(outputs)}"
        ) from None
    if shape != (2, len(task.labels)):
        raise InputError(
            f"{folder / 'task.json'}: names {len(task.labels)} labels, and the model answers {list(shape[1:])} for one input"
        )
