"""Jobs before the recipes: look at the source, choose a threshold, let the reference answer.

The reference is what the source's own library says to the raw inputs (edgekit.quantize.reference),
or said in the user's own environment. edgekit's reading of the source is compared with it first.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.model.tensor_model import checked
from edgekit.edge.tasks import Task, load_task
from edgekit.errors import EdgekitError, EngineFailed, InputError
from edgekit.files import write_durably
from edgekit.job import Progress
from edgekit.nouns import Golden, Noun
from edgekit.profiles.answers import label_order, write_answers
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.profiles.evaluations import evaluation_of
from edgekit.profiles.evaluations.label_rule import LabelRule
from edgekit.profiles.evaluations.reliability import threshold_for
from edgekit.quantize.compare_preprocessing import compare_preprocessing, compare_with_given
from edgekit.quantize.folder.beside_task import compare_with_task
from edgekit.quantize.folder.check import FolderReport, check_folder
from edgekit.quantize.huggingface import compare_shapes, write_task
from edgekit.quantize.probe import check_tokens, probe
from edgekit.quantize.reference import reference_of
from edgekit.quantize.reference.given import GivenAnswers
from edgekit.quantize.reference.own import OWN_ENGINES, REFERENCE_BATCH, Answer, own_answers
from edgekit.quantize.source import Source
from edgekit.quantize.sources import source_task, what_is_too_long
from edgekit.spec import OnTooLong, ThresholdPart

GOLDEN_SAMPLES = 16
GOLDEN_SEED = 20
WORDS = "words.txt"  # what answered as the reference, for people


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
    max_length: int | None
    given: str | None  # see ReferenceRequest
    rule: LabelRule
    threshold: ThresholdPart
    out: str


class ReferenceRequest(Noun, frozen=True, kw_only=True):
    """What `reference_job` is asked."""

    source: Source  # of the reference
    own_task_folder: str  # the reference's
    built: Source
    task_folder: str  # of what is built: its labels' order is everybody's
    calibration: str
    evaluation: str
    columns: list[str]
    label: str
    unfit: list[int] = []  # indices of calibration rows that the model refuses
    refused: list[int] = []  # and of evaluation rows
    max_length: int | None
    given: str | None  # the file with the answers of the user's own environment
    rule: LabelRule
    release_rows: list[int]
    out: str


def inspect_job(request: object, progress: Progress) -> object:
    """Compare the weights with what the config says, and write task.json to `out`.

    A text's task has tokenizer.json beside it. Returns a FolderReport: what was done with every key
    of the folder, and what the user should know of it.
    """
    asked = msgspec.convert(request, InspectRequest)
    progress("checking the source", 0)
    source, folder, out = asked.source, Path(asked.source.path), Path(asked.out)
    if source.kind == "huggingface":
        report = check_folder(source)
        compare_shapes(folder, source.task)
        on_too_long = what_is_too_long(source.task, asked.on_too_long, "data.on_too_long")
        write_task(folder, source.task, asked.max_length, on_too_long or "flag", out)
        check_tokens(load_task(out), folder / "tokenizer_config.json")
    else:
        report = FolderReport()
        load_task(folder)  # which names the user's own file where that is wrong
        for name in ("task.json", "tokenizer.json"):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, out / name)
        _say_on_too_long(out / "task.json", source.task, asked.on_too_long)
        if source_task(source.task).kind == "picture":
            _turn_pictures(out / "task.json")
        probe(folder, out, OWN_ENGINES[source.kind])
    warnings = (*report.warnings, *compare_with_task(source, out))
    return msgspec.to_builtins(msgspec.structs.replace(report, warnings=warnings))


def _turn_pictures(path: Path) -> None:
    """Let the task turn pictures as their EXIF data asks, unless task.json says otherwise.

    Said in the file, since without it a bundle takes pictures as they are stored: so did those that
    older versions built.
    """
    config = msgspec.json.decode(path.read_bytes())
    config.setdefault("orientation", "exif")
    write_durably(path, msgspec.json.encode(config, order="sorted"))


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
    data = read_dataset(Path(asked.calibration), task, asked.columns, asked.label, asked.rule)
    kept = data.without(asked.refused)
    if asked.given:
        given = GivenAnswers(Path(asked.given), asked.source, task, asked.columns)
        left_out = set(asked.refused)
        said = given.rows(data).answers
        answers = [row for index, row in enumerate(said) if index not in left_out]
    else:
        reference = reference_of(asked.source, task, asked.max_length)
        answers = _in_batches(reference.answers, kept, progress)
    data = kept
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
    """Write the reference's answers.npz for the evaluation file, and golden.json, to `out`.

    words.txt says what answered. Raises InputError where edgekit reads an input of the calibration
    file otherwise.
    """
    asked = msgspec.convert(request, ReferenceRequest)
    task, own = load_task(Path(asked.task_folder)), load_task(Path(asked.own_task_folder))
    calibration, data = (
        read_dataset(Path(path), task, asked.columns, asked.label, asked.rule)
        for path in (asked.calibration, asked.evaluation)
    )
    calibration_kept = calibration.without(asked.unfit)
    if asked.built != asked.source:
        _compared(asked.built, task, asked.max_length, calibration_kept, progress)
    if asked.given:
        given = GivenAnswers(Path(asked.given), asked.source, own, asked.columns)
        answer, words = own_answers(asked.source, own), given.words
        compare_with_given(given, answer, own, (calibration, asked.unfit), progress)
        found = compare_with_given(given, answer, own, (data, asked.refused), progress)
    else:
        answer, words = _compared(asked.source, own, asked.max_length, calibration_kept, progress)
        found = _in_batches(answer, data.without(asked.refused), progress)
    _check_finite(found, data.without(asked.refused), words)
    order = label_order(own.labels, task.labels)
    out = Path(asked.out)
    write_answers(out / "answers.npz", _ordered(found, order))
    wire = _released(asked, task, data) or task.made_inputs(GOLDEN_SAMPLES, GOLDEN_SEED)
    try:
        answers = answer([task.parse(value) for value in wire])
    except EngineFailed as error:
        raise InputError(
            f"a golden sample: {error}; name rows of the evaluation file that may travel in"
            " data.release_rows, to take the place of made ones"
        ) from None
    golden = Golden(
        inputs=wire,
        answers=[row.tolist() for row in _ordered(answers, order)],
        labels=list(task.labels),
    )
    (out / "golden.json").write_bytes(golden.to_json())
    (out / WORDS).write_text(words, encoding="utf-8")


def _compared(
    source: Source,
    task: Task[Any],
    max_length: int | None,
    calibration: Dataset,
    progress: Progress,
) -> tuple[Answer, str]:
    """Return what answers as a source's own library, and its name, once edgekit reads alike."""
    reference = reference_of(source, task, max_length)
    if reference.tensors([task.parse(value) for value in task.made_inputs(1, 0)]) is not None:
        compare_preprocessing(reference, own_answers(source, task), task, calibration, progress)
    return lambda inputs: checked(reference.answers(inputs)), reference.words


def _check_finite(answers: Sequence[np.ndarray], data: Dataset, words: str) -> None:
    for place, answer in enumerate(answers):
        if not np.isfinite(answer).all():
            raise InputError(
                f"{data.path}: row {data.row_of(place)}: {words} has no finite answer to it;"
                " it may hold no token"
            )


def _ordered(answers: Sequence[np.ndarray], order: list[int] | None) -> list[np.ndarray]:
    """Put the labels into the order of what is built; None where they are in it."""
    return list(answers) if order is None else [row[..., order] for row in answers]


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
        row = data.row_of(index)
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
