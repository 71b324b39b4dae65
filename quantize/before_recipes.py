"""The steps before the recipes: look at the source, read the data, let the reference answer.

What takes long or opens a model is a job of prepare.py, whose result is kept in the build's cache.
"""

from pathlib import Path
from typing import Any

import msgspec

from edgekit.digests import describe_file
from edgekit.edge.tasks import Task, load_task
from edgekit.errors import InputError
from edgekit.files import make_folder, new_folder, write_durably
from edgekit.nouns import Limits
from edgekit.profiles.data import (
    Dataset,
    check_disjoint,
    input_columns,
    label_rule,
    read_dataset,
    refused_rows,
)
from edgekit.profiles.evaluations import evaluation_of
from edgekit.quantize.build_context import (
    BuildContext,
    PreparedBuild,
)
from edgekit.quantize.cache import kept, key_of
from edgekit.quantize.check_reference import check_reference
from edgekit.quantize.folder.check import FolderReport
from edgekit.quantize.prepare import InspectRequest, ReferenceRequest, ThresholdRequest
from edgekit.quantize.source import Source
from edgekit.spec import ThresholdPart


def prepare_build(context: BuildContext, spec_path: Path) -> PreparedBuild:
    spec = context.spec
    task_folder = _inspect(context, context.source)
    task = load_task(task_folder)
    for doubt in task.doubts():
        context.listener.warn(f"{context.source.path}: {doubt}")
    _check_classes(spec.limits, task, spec_path)
    data, paths = spec.data, (Path(spec.data.evaluation), Path(spec.data.calibration))
    columns = input_columns(paths[0], task, data.input, data.label)
    rule = label_rule(paths, task, data.label, data.labels_are)
    context.listener.say(f"labels of {paths[0].name}: {rule} (column {data.label!r})")
    evaluation, calibration = (
        read_dataset(path, task, columns, data.label, rule) for path in paths
    )
    excluded = check_disjoint(calibration, evaluation)
    if excluded:
        context.listener.warn(
            f"{calibration.path}: row {excluded[0] + 1} is in {evaluation.path} but for white space"
            f" or case; rows left out of calibration for that: {len(excluded)}"
        )
    unfit, refused = (_refused(context, task, item) for item in (calibration, evaluation))
    if spec.model.threshold:
        task_folder = _with_threshold(
            context, spec.model.threshold, task_folder, calibration, columns, unfit
        )
    reference = _reference(
        context, task_folder, (calibration, unfit), (evaluation, refused), columns
    )
    judged = evaluation.without(refused)
    standing = check_reference(
        reference, load_task(task_folder), judged, spec.limits, context.listener.warn
    )
    return PreparedBuild(
        context=context,
        task_folder=task_folder,
        reference=reference,
        calibration=calibration,
        evaluation=judged,
        standing=standing,
        columns=columns,
        excluded=sorted({*excluded, *unfit}),
        refused=refused,
    )


def _refused(context: BuildContext, task: Task[Any], data: Dataset) -> list[int]:
    """Return the rows that the model refuses, as the appliance will, so that none is judged by it.

    Raises InputError where no others are left.
    """
    found = refused_rows(task, data.rows())
    if not found:
        return []
    row, reason = next(iter(found.items()))
    said = f"{data.path}: row {row + 1}: {reason}"
    if len(found) == len(data):
        raise InputError(f"{said}; the model refuses every row of the file")
    context.listener.warn(f"{said}; rows left out for such a reason: {len(found)}")
    return list(found)


def _inspect(context: BuildContext, source: Source) -> Path:
    """Return the folder with a source's task, and say what the user should know of the source."""
    key = key_of(
        "inspect",
        source.sha256,
        source.task,
        context.spec.model.max_length,
        context.spec.data.on_too_long,
        context.versions,
    )
    folder = context.cache / "tasks" / key
    report = make_folder(context.cache / "source-keys") / f"{key}.json"
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = InspectRequest(
                source=source,
                max_length=context.spec.model.max_length,
                on_too_long=context.spec.data.on_too_long,
                out=str(work),
            )
            found = context.run("edgekit.quantize.prepare:inspect_job", request, "source")
            write_durably(report, msgspec.convert(found, FolderReport).to_json())
    said = kept(report, FolderReport) or FolderReport()
    for warning in said.warnings:
        context.listener.warn(warning)
    if source is context.source:
        write_durably(context.out / "source-keys.json", said.to_json())
    return folder


def _check_classes(limits: Limits, task: Task[Any], path: Path) -> None:
    """Floors must be for classes that the model has; of entities, the kinds are the classes."""
    known = evaluation_of(task).classes
    for key, floors in (("min_recall", limits.min_recall), ("min_precision", limits.min_precision)):
        unknown = [name for name in floors if name not in known]
        if unknown:
            raise InputError(
                f"{path}: limits.{key}: the model has no class {unknown[0]!r}; it has:"
                f" {', '.join(sorted(known)[:8])}"
            )


def _with_threshold(
    context: BuildContext,
    threshold: ThresholdPart,
    task_folder: Path,
    calibration: Dataset,
    columns: list[str],
    refused: list[int],
) -> Path:
    """Return the folder of the task with the threshold that the spec asks for."""
    label = context.spec.data.label
    key = key_of(
        "threshold",
        task_folder.name,
        calibration.sha256,
        columns,
        label,
        calibration.rule,
        threshold,
        _given_digest(context),
        context.spec.model.max_length,
        context.versions,
    )
    folder = context.cache / "tasks" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = ThresholdRequest(
                source=context.source,
                task_folder=str(task_folder),
                calibration=str(calibration.path),
                columns=columns,
                label=label,
                refused=refused,
                max_length=context.spec.model.max_length,
                given=context.spec.model.reference_answers,
                rule=calibration.rule,
                threshold=threshold,
                out=str(work),
            )
            context.run("edgekit.quantize.prepare:threshold_job", request, "threshold")
    return folder


def _given_digest(context: BuildContext) -> str:
    """Digest the file with the answers of the user's own environment; "" if there is none."""
    path = context.spec.model.reference_answers
    return describe_file(Path(path), path).sha256 if path else ""


def _reference(
    context: BuildContext,
    task_folder: Path,
    calibration: tuple[Dataset, list[int]],
    evaluation: tuple[Dataset, list[int]],
    columns: list[str],
) -> Path:
    """Return the folder with the reference's answers, to which edgekit's reading was compared.

    calibration, evaluation: each with the indices of the rows that the model refuses.
    """
    data = context.spec.data
    own = (
        task_folder if context.reference is context.source else _inspect(context, context.reference)
    )
    key = key_of(
        "reference",
        context.reference.sha256,
        own.name,
        context.source.sha256,
        task_folder.name,
        calibration[0].sha256,
        evaluation[0].sha256,
        columns,
        data.label,
        data.release_rows,
        _given_digest(context),
        context.versions,
    )
    folder = context.cache / "references" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = ReferenceRequest(
                source=context.reference,
                own_task_folder=str(own),
                built=context.source,
                task_folder=str(task_folder),
                calibration=str(calibration[0].path),
                evaluation=str(evaluation[0].path),
                columns=columns,
                label=data.label,
                unfit=calibration[1],
                refused=evaluation[1],
                max_length=context.spec.model.max_length,
                given=context.spec.model.reference_answers,
                rule=evaluation[0].rule,
                release_rows=list(data.release_rows),
                out=str(work),
            )
            context.run("edgekit.quantize.prepare:reference_job", request, "reference")
    return folder
