"""The gate's job: find an artifact's best setting for the objective, then measure its answers.

The answers are measured with that setting.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.confidence import share_lower_bound, upper_bound
from edgekit.edge.model.health import golden_difference, read_golden
from edgekit.edge.model.tensor_model import Answer, Model, open_model
from edgekit.edge.tasks import Task, load_task
from edgekit.edge.worker.scheduler import TensorScheduler
from edgekit.errors import EngineFailed
from edgekit.job import Progress
from edgekit.nouns import Golden, Noun, Quality, Setting
from edgekit.process import peak_memory
from edgekit.profiles.answers import label_order, read_answers
from edgekit.profiles.bootstrap import CONFIDENCES, spread
from edgekit.profiles.data import Dataset, read_dataset, shuffled
from edgekit.profiles.evaluations import evaluation_of
from edgekit.profiles.evaluations.label_rule import LabelRule
from edgekit.profiles.evaluations.metrics import Assessment, Metric
from edgekit.profiles.scenarios import EFFORTS, Name, samples_per_s, single_stream
from edgekit.spec import Objective

THREAD_TURNS = 2
CLEARLY = 1.07  # so much faster must a number of threads be than the one that the engine likes


class QualityRequest(Noun, frozen=True, kw_only=True):
    """What the job is asked. The sweep chooses among `settings` for `objective`."""

    folder: str
    # the reference's own: what is right is read with its labels, not with the variant's
    task_folder: str
    engine: str
    settings: list[Setting]
    objective: Objective
    evaluation: str
    evaluation_sha256: str
    columns: list[str]
    label: str
    refused: list[int] = []  # indices of rows that the model refuses, and that are left out
    rule: LabelRule | None = None
    reference: str  # folder with answers.npz and golden.json
    effort: Name
    calibration_sha256: str


class MeasuredQuality(Noun, frozen=True, kw_only=True):
    """What the gate's job measured.

    setting: the one that the sweep found, and that the figures were measured with.
    golden: the variant's own answers to the golden samples.
    quality: the gate's figures.
    peak_rss_bytes: the most memory that the process held, in bytes.
    """

    setting: Setting
    golden: Golden
    quality: Quality
    peak_rss_bytes: int


def quality_job(request: object, progress: Progress) -> object:
    """Return the MeasuredQuality of one artifact."""
    asked = msgspec.convert(request, QualityRequest)
    folder, task = Path(asked.folder), load_task(Path(asked.task_folder))
    data = read_dataset(
        Path(asked.evaluation), task, asked.columns, asked.label, asked.rule
    ).without(asked.refused)
    try:
        setting = sweep(asked, shuffled(data.inputs), progress)
    except EngineFailed:
        setting = asked.settings[0]  # the gate says over which row
    progress("loading", 0)
    model, reference = open_model(folder, asked.engine, setting), Path(asked.reference)
    quality = msgspec.structs.replace(
        gate_figures(model, task, data, reference, asked.calibration_sha256, progress),
        refused_rows=len(asked.refused),
    )
    golden = own_golden(model, read_golden(reference))
    return msgspec.to_builtins(
        MeasuredQuality(
            setting=setting, golden=golden, quality=quality, peak_rss_bytes=peak_memory()
        )
    )


def own_golden(model: Model, golden: Golden) -> Golden:
    """Return the golden samples with the model's own answers in place of the reference's."""
    own = model.answers([model.task.parse(value) for value in golden.inputs])
    return msgspec.structs.replace(
        golden, answers=[row.tolist() for row in own], labels=list(model.task.labels)
    )


def sweep(asked: QualityRequest, inputs: Sequence[Any], progress: Progress) -> Setting:
    """Find the setting with the most samples a second.

    Unless the objective is throughput or energy, only settings with the best number of threads are
    tried.
    """
    seconds = EFFORTS[asked.effort].sweep_seconds
    settings = asked.settings
    if asked.objective not in ("throughput", "energy"):
        settings = _with_best_threads(asked, inputs, progress)
    if len(settings) == 1:
        return settings[0]
    speeds = []
    for index, setting in enumerate(settings):
        progress("finding the best setting", index / len(settings))
        speeds.append(
            samples_per_s(open_model(Path(asked.folder), asked.engine, setting), inputs, seconds)
        )
    return settings[int(np.argmax(speeds))]


def _with_best_threads(
    asked: QualityRequest, inputs: Sequence[Any], progress: Progress
) -> list[Setting]:
    """Return the settings that have the best number of threads.

    It is the one with the lowest median for one input; the candidates are measured in turns.
    """
    first = {setting.threads: setting for setting in asked.settings}
    if len(first) == 1:
        return asked.settings
    progress("finding the best number of threads", 0)
    models = {
        threads: open_model(Path(asked.folder), asked.engine, setting)
        for threads, setting in first.items()
    }
    seconds = EFFORTS[asked.effort].sweep_seconds / 2
    brief = replace(
        EFFORTS["quick"], calls=25, seconds=seconds, most_seconds=4 * seconds, most_warm_up=0.2
    )
    medians: dict[int, list[float]] = {threads: [] for threads in first}
    for _ in range(THREAD_TURNS):
        for threads, model in models.items():
            medians[threads].append(float(np.median(single_stream(model, inputs, brief)[0])))
    best = min(
        medians,
        key=lambda threads: float(np.median(medians[threads])) * (CLEARLY if threads else 1),
    )
    return [setting for setting in asked.settings if setting.threads == best]


def gate_figures(
    model: Model,
    task: Task[Any],
    data: Dataset,
    reference: Path,
    calibration_sha256: str,
    progress: Progress,
) -> Quality:
    """Measure the model's answers on the whole evaluation set.

    task: the reference's.
    reference: folder with the reference's answers and golden samples.
    calibration_sha256: digest of the inputs that the model was calibrated on; "" for none.

    Raises ArithmeticError over NaN and infinity, InputError where the model's labels are not the
    reference's.
    """
    expected, evaluation = read_answers(reference / "answers.npz"), evaluation_of(task)
    metric, right = evaluation.metric, evaluation.assess(expected, data.truths)
    sizes = sorted({1, model.setting.batch_size})
    read = {size: _all_answers(model, task, data, size, progress) for size in sizes}
    answers = {size: [answer.values for answer in found] for size, found in read.items()}
    found = {size: evaluation.assess(answers[size], data.truths) for size in sizes}
    compared = {size: metric.compare(right, found[size]) for size in sizes}
    worst = max(sizes, key=lambda size: upper_bound(compared[size], 0.95))
    variant, golden = found[worst], golden_difference(model, _in_order_of(model, task, reference))
    if not math.isfinite(golden):
        raise ArithmeticError("answers the golden samples with NaN, infinity or another shape")
    # float64: the square of a large number may be beyond float32
    said = np.concatenate([np.ravel(a) for a in answers[worst]]).astype(np.float64)
    wanted = np.concatenate([np.ravel(a) for a in expected]).astype(np.float64)
    return Quality(
        metric=metric.name,
        metric_value=variant.value,
        metric_bounds=metric_bounds(metric, variant),
        reference_value=right.value,
        comparison=compared[worst],
        judged_batch_size=worst,
        agreement=metric.agreement(right, variant),
        batch_agreement=metric.agreement(found[sizes[0]], found[sizes[-1]]),
        answer_error=float(
            np.sqrt(np.mean(np.square(said - wanted))) / max(float(np.std(wanted)), 1e-12)
        ),
        max_answer_difference=float(np.max(np.abs(said - wanted))),
        classes=variant.classes,
        reliability=evaluation.reliability(answers[worst], data.truths),
        golden_difference=golden,
        evaluation_sha256=data.sha256,
        calibration_sha256=calibration_sha256,
        cut_rows=_cut_rows(read[worst], data.width),
    )


def _in_order_of(model: Model, task: Task[Any], reference: Path) -> Golden:
    """Return the reference's golden samples with the labels in the model's own order."""
    golden = read_golden(reference)
    order = label_order(task.labels, model.task.labels)
    if order is None:
        return golden
    answers = [np.asarray(answer)[..., order].tolist() for answer in golden.answers]
    return msgspec.structs.replace(golden, labels=list(model.task.labels), answers=answers)


def _cut_rows(answers: Sequence[Answer], width: int) -> int:
    """Count the rows of which an input was cut; a row has `width` inputs."""
    return len({place // width for place, answer in enumerate(answers) if answer.truncated})


def metric_bounds(metric: Metric, variant: Assessment) -> tuple[tuple[float, float], ...]:
    """Return the lowest value of the metric that is not ruled out, at each confidence.

    Rows that are all right have no spread and leave a doubt all the same: what a made-up row on
    which everything is lost would take from them, as in a comparison. The two doubts are
    independent, so their squares add up.
    """
    if variant.rows.ndim == 1:
        hits, total = int(variant.rows.sum()), len(variant.rows)
        return tuple((level, share_lower_bound(hits, total, level)) for level in CONFIDENCES)
    doubts = metric.compare(variant, variant)
    return tuple(
        (level, variant.value - math.hypot(lost, upper_bound(doubts, level)))
        for level, lost in spread(metric.value, variant.rows)
    )


def _all_answers(
    model: Model, task: Task[Any], data: Dataset, size: int, progress: Progress
) -> list[Answer]:
    """Answer the whole evaluation set, in batches of `size`, `setting.streams` side by side."""
    order = label_order(model.task.labels, task.labels)
    what = "one at a time" if size == 1 else f"in batches of {size}"
    batches = [data.inputs[start : start + size] for start in range(0, len(data.inputs), size)]
    answers: list[Answer] = []
    for index, part in enumerate(_answered(model, batches)):
        if index % 32 == 0:
            progress(f"measuring accuracy {what}", index / len(batches))
        for answer in part:
            if not np.isfinite(answer.values).all():
                row = data.row_of(len(answers))
                raise ArithmeticError(
                    f"answers with NaN or infinity {what}, first for row {row} of the evaluation"
                    " file"
                )
            ordered = answer.values if order is None else answer.values[..., order]
            answers.append(answer._replace(values=ordered))
    return answers


def _answered(model: Model, batches: Sequence[Sequence[Any]]) -> Iterator[list[Answer]]:
    """Yield the answers to each batch, all streams at work side by side."""
    with TensorScheduler(model) as scheduler:
        yield from scheduler.in_order(batches, model.read)
