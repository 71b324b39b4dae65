"""Jobs before the recipes: look at the source, choose a threshold, let the source answer.

The source's answers are the reference: PyTorch in fp32 for a Hugging Face folder, and ONNX Runtime
without graph optimizations for an .onnx.
"""

import inspect
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.engines import load_engine
from edgekit.edge.model.tensor_model import Model, checked
from edgekit.edge.tasks import Task, Tensors, load_task, run_in_parts
from edgekit.errors import EdgekitError, EngineFailed, InputError
from edgekit.files import write_durably
from edgekit.job import Progress
from edgekit.nouns import Golden, Noun, Setting
from edgekit.profiles.answers import label_order, write_answers
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.profiles.evaluations import evaluation_of
from edgekit.profiles.evaluations.reliability import threshold_for
from edgekit.quantize.huggingface import compare_shapes, load_model, write_task
from edgekit.quantize.pooling import pooled, read_pooling
from edgekit.quantize.probe import check_tokens, probe
from edgekit.quantize.source import Source
from edgekit.quantize.sources import source_task, what_is_too_long
from edgekit.spec import OnTooLong, ThresholdPart

REFERENCE_BATCH = 32  # inputs of mixed lengths together, as they come in the file
GOLDEN_SAMPLES = 16
GOLDEN_SEED = 20
REFERENCES = {
    "huggingface": "PyTorch fp32",
    "onnx": "ONNX Runtime, no graph optimizations",
    "gguf": "llama.cpp",
}
OWN_ENGINES = {"onnx": "onnxruntime", "gguf": "llama.cpp"}
Answer = Callable[[Sequence[Any]], list[np.ndarray]]


class InspectRequest(Noun, frozen=True, kw_only=True):
    """What `inspect_job` is asked."""

    source: Source
    max_length: int | None
    # None: as a task.json says, or else the task's default
    on_too_long: OnTooLong | None = None
    out: str


class ThresholdRequest(Noun, frozen=True, kw_only=True):
    """What `threshold_job` is asked."""

    source: Source
    task_folder: str
    calibration: str
    columns: list[str]
    label: str
    refused: list[int] = []  # indices of rows that the model refuses
    threshold: ThresholdPart
    out: str


class ReferenceRequest(Noun, frozen=True, kw_only=True):
    """What `reference_job` is asked."""

    source: Source  # of the reference
    own_task_folder: str  # the reference's
    task_folder: str  # of what is built: its labels' order is everybody's
    evaluation: str
    columns: list[str]
    label: str
    refused: list[int] = []  # indices of rows that the model refuses
    release_rows: list[int]
    out: str


def inspect_job(request: object, progress: Progress) -> None:
    """Compare the weights with what the config says, and write task.json to `out`.

    A text's task has tokenizer.json beside it.
    """
    asked = msgspec.convert(request, InspectRequest)
    progress("checking the source", 0)
    source, folder, out = asked.source, Path(asked.source.path), Path(asked.out)
    if source.kind == "huggingface":
        compare_shapes(folder, source.task)
        on_too_long = what_is_too_long(source.task, asked.on_too_long, "data.on_too_long")
        write_task(folder, source.task, asked.max_length, on_too_long or "flag", out)
        check_tokens(load_task(out), folder / "tokenizer_config.json")
        return
    load_task(folder)  # which names the user's own file where that is wrong
    for name in ("task.json", "tokenizer.json"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    _say_on_too_long(out / "task.json", source.task, asked.on_too_long)
    probe(folder, out, OWN_ENGINES[source.kind])


def _say_on_too_long(path: Path, task: str, asked: OnTooLong | None) -> None:
    """Write into a task.json what becomes of texts that are too long; raises InputError."""
    config = msgspec.json.decode(path.read_bytes())
    own = config.get("on_too_long")
    way = what_is_too_long(task, asked or own, "data.on_too_long" if asked else str(path))
    if way and way != (own or "flag"):
        config["on_too_long"] = way
        path.write_bytes(msgspec.json.encode(config, order="sorted"))


def threshold_job(request: object, progress: Progress) -> None:
    """Copy the task to `out` with a threshold for one label.

    It is the one that the calibration data gives, as the reference answers.
    """
    asked = msgspec.convert(request, ThresholdRequest)
    folder, out, wanted = Path(asked.task_folder), Path(asked.out), asked.threshold
    task = load_task(folder)
    evaluation = evaluation_of(task)
    if wanted.label not in evaluation.scored_labels:
        raise InputError(f"model.threshold.label: {task.name} has no label {wanted.label!r}")
    data = read_dataset(Path(asked.calibration), task, asked.columns, asked.label).without(
        asked.refused
    )
    answers = _in_batches(reference_of(asked.source, task), data, progress)
    index = evaluation.scored_labels.index(wanted.label)
    truths = [truth if isinstance(truth, tuple) else (truth,) for truth in data.truths]
    positives = np.array([index in truth for truth in truths])
    if positives.all() or not positives.any():
        raise InputError(
            f"{asked.calibration}: model.threshold needs rows with the label {wanted.label!r} and"
            " rows without it"
        )
    chosen = threshold_for(
        evaluation.probabilities(answers)[:, index], positives,
        specificity=wanted.specificity, sensitivity=wanted.sensitivity,
    )  # fmt: skip
    shutil.copytree(folder, out, dirs_exist_ok=True)
    config = msgspec.json.decode((folder / "task.json").read_bytes())
    config["thresholds"] = {**config.get("thresholds", {}), wanted.label: chosen}
    write_durably(out / "task.json", msgspec.json.encode(config, order="sorted"))


def reference_job(request: object, progress: Progress) -> None:
    """Write the reference's answers.npz for the evaluation file, and golden.json, to `out`."""
    asked = msgspec.convert(request, ReferenceRequest)
    task_folder, out = Path(asked.task_folder), Path(asked.out)
    task, own = load_task(task_folder), load_task(Path(asked.own_task_folder))
    data = read_dataset(Path(asked.evaluation), task, asked.columns, asked.label)
    answer = _aligned(reference_of(asked.source, own), own, task)
    write_answers(out / "answers.npz", _in_batches(answer, data.without(asked.refused), progress))
    wire = _released(asked, task, data) or task.made_inputs(GOLDEN_SAMPLES, GOLDEN_SEED)
    try:
        answers = answer([task.parse(value) for value in wire])
    except EngineFailed as error:
        raise InputError(
            f"a golden sample: {error}; name rows of the evaluation file that may travel in"
            " data.release_rows, to take the place of made ones"
        ) from None
    golden = Golden(
        inputs=wire, answers=[row.tolist() for row in answers], labels=list(task.labels)
    )
    (out / "golden.json").write_bytes(golden.to_json())


def _aligned(answer: Answer, own: Task[Any], task: Task[Any]) -> Answer:
    order = label_order(own.labels, task.labels)
    return answer if order is None else lambda inputs: [row[..., order] for row in answer(inputs)]


def _in_batches(answer: Answer, data: Dataset, progress: Progress) -> list[np.ndarray]:
    """Answer a whole file; raises InputError that names the row over what has no answer."""
    found: list[np.ndarray] = []
    for start in range(0, len(data.inputs), REFERENCE_BATCH):
        progress("running the reference", start / len(data.inputs))
        part = data.inputs[start : start + REFERENCE_BATCH]
        try:
            answers = answer(part)
        except EdgekitError:
            answers = [_one(answer, data, start + place) for place in range(len(part))]
        found.extend(answers)
    return found


def _one(answer: Answer, data: Dataset, index: int) -> np.ndarray:
    try:
        [found] = answer([data.inputs[index]])
    except EdgekitError as error:
        row = index // data.width + 1
        raise InputError(f"{data.path}: row {row}: the reference: {error.reason}") from None
    return found


def _released(asked: ReferenceRequest, task: Task[Any], data: Dataset) -> list[object]:
    """Write out the inputs of the evaluation rows that the spec lets travel, in wire form."""
    beyond = [number for number in asked.release_rows if number > len(data)]
    if beyond:
        raise InputError(
            f"data.release_rows: {data.path} has no row {beyond[0]}; it has {len(data)}"
        )
    refused = [number for number in asked.release_rows if number - 1 in asked.refused]
    if refused:
        raise InputError(f"data.release_rows: row {refused[0]} is one that the model refuses")
    rows = data.rows()
    return [task.wire(value) for number in asked.release_rows for value in rows[number - 1]]


def reference_of(source: Source, task: Task[Any]) -> Answer:
    """Return what turns inputs into answers (see Task), as the source itself gives them."""
    folder = Path(source.path)
    if source.kind != "huggingface":
        plain = Setting(options={"graph_optimization": "off"}, batch_size=REFERENCE_BATCH)
        return Model(task, load_engine(OWN_ENGINES[source.kind]).load(folder, plain), plain).answers

    import torch

    model = load_model(folder, source.task)
    names = list(inspect.signature(model.forward).parameters)
    mode = read_pooling(folder).mode if source_task(source.task).pools else None

    def run(feeds: Tensors) -> Tensors:
        with torch.inference_mode():
            output = model(
                **{name: torch.from_numpy(feeds[name]) for name in names if name in feeds}
            )
        if mode is None:
            return {"logits": output.logits.numpy()}
        vectors = pooled(output.last_hidden_state.numpy(), feeds["attention_mask"], mode)
        return {"sentence_embedding": vectors}

    def answer(inputs: Sequence[Any]) -> list[np.ndarray]:
        feeds = task.encode(inputs)
        return checked(task.answers(run_in_parts(run, feeds, REFERENCE_BATCH), feeds))

    return answer
