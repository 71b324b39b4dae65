"""The build: from a Spec to a Build, through every step.

Each step is a job in a process of its own, one at a time, and its result is kept in the output
folder under the digest of everything that went into it. So a second build re-uses all, a killed
build goes on, and an engine that crashes is a failed variant.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.edge.tasks import Task, find_task, load_task
from edgekit.errors import InputError
from edgekit.files import make_folder, new_folder
from edgekit.locks import lock
from edgekit.nouns import Build, Limits, Variant
from edgekit.profiles.build_folder import VariantFiles, write_build
from edgekit.profiles.choose import choose, judge_all
from edgekit.profiles.data import (
    Dataset,
    check_disjoint,
    input_columns,
    read_dataset,
    refused_rows,
)
from edgekit.profiles.evaluations import evaluation_of
from edgekit.profiles.scenarios import Name
from edgekit.quantize.build_context import (
    BuildContext,
    BuildListener,
    Candidate,
    PreparedBuild,
    build_versions,
)
from edgekit.quantize.cache import clear_leftovers, key_of
from edgekit.quantize.candidates import make_candidate
from edgekit.quantize.prepare import REFERENCES, InspectRequest, ReferenceRequest, ThresholdRequest
from edgekit.quantize.recipes import Recipe, find_recipe
from edgekit.quantize.source import Source, read_source
from edgekit.quantize.sources import source_task, what_is_too_long
from edgekit.quantize.time_variants import time_all
from edgekit.spec import Spec, ThresholdPart, load_spec
from edgekit.targets import Target, find_target
from edgekit.targets.detect import Machine, closest_target, detect_machine


def build(spec_path: Path, out: Path, *, effort: Name, listener: BuildListener) -> Build:
    """Run the whole build and write `out/build.json`.

    Raises InputError before anything is written where it can.
    """
    spec, out = load_spec(spec_path), out.resolve()
    find_task(spec.model.task, f"{spec_path}: model.task")
    what_is_too_long(spec.model.task, spec.data.on_too_long, f"{spec_path}: data.on_too_long")
    for name in spec.target.recipes or ():
        find_recipe(name, f"{spec_path}: target.recipes")
    machine = detect_machine()
    target = _target(spec, machine, spec_path)
    source = read_source(Path(spec.model.source), spec.model.task)
    reference = _reference_source(spec, source, spec_path)
    recipes = _recipes(spec, source, target, spec_path)
    make_folder(out)
    with lock(out / "lock", "edgekit build"):
        clear_leftovers(out / "cache")
        context = BuildContext(
            spec=spec,
            source=source,
            reference=reference,
            target=target,
            machine=machine,
            effort=effort,
            out=out,
            cache=make_folder(out / "cache"),
            logs=make_folder(out / "logs"),
            versions=build_versions(),
            listener=listener,
        )
        prepared = _prepare(context, spec_path)
        made = []
        for number, recipe in enumerate(recipes, 1):
            made.append(make_candidate(prepared, recipe))
            listener.done(made[-1], number, len(recipes))
        variants, confidence = judge_all(time_all(prepared, made), spec.limits)
        result = Build(
            model=spec.model.name,
            version=spec.model.version,
            task=spec.model.task,
            target=target.name,
            architecture=machine.architecture,
            isa=context.isa,
            cores=context.machine.cores,
            objective=spec.objective,
            limits=spec.limits,
            reference=REFERENCES[reference.kind]
            + (", the source itself" if reference.is_quantized else ""),
            evaluation_samples=len(prepared.evaluation),
            tested_confidence=confidence,
            source_sha256=source.sha256,
            versions=context.versions,
            variants=variants,
            choice=choose(variants, spec.objective),
        )
        samples = (prepared.reference / "golden.json").read_bytes()
        write_build(out, result, samples, _files_of(result, made, context))
    return result


def _files_of(
    build: Build, made: Sequence[Candidate | Variant], context: BuildContext
) -> dict[str, VariantFiles]:
    """Return the files of every measured variant, by its name."""
    names = {item.name for item in build.measured}
    return {
        item.artifact.name: VariantFiles(
            folder=context.artifact_folder(item.artifact),
            files=item.artifact.files,
            golden=item.measured.golden.to_json(),
        )
        for item in made
        if isinstance(item, Candidate) and item.artifact.name in names
    }


def _target(spec: Spec, machine: Machine, path: Path) -> Target:
    target = closest_target(machine) if spec.target.device == "this" else find_target(
        spec.target.device, f"{path}: target.device"
    )  # fmt: skip
    if target.architecture != machine.architecture:
        raise InputError(
            f"{path}: target.device = {target.name!r} is {target.architecture} and this machine is"
            f" {machine.architecture}; variants are measured where they are built, so run this"
            " build on such a device"
        )
    return target


def _reference_source(spec: Spec, source: Source, path: Path) -> Source:
    """Return what the variants are compared with.

    Raises InputError where there is nothing and a limit asks for it.
    """
    if spec.model.reference:
        return read_source(Path(spec.model.reference), spec.model.task)
    if source.is_quantized and spec.limits.max_accuracy_drop is not None:
        raise InputError(
            f"{path}: limits.max_accuracy_drop: the source is quantized already, so there is"
            " nothing to compare it with; name the model that it was made from in model.reference,"
            " or set limits.min_metric instead"
        )
    return source


def _recipes(spec: Spec, source: Source, target: Target, path: Path) -> list[Recipe]:
    as_it_is = f"{source.kind}-source"
    names, task = spec.target.recipes, spec.model.task
    if names is None and source.is_quantized:
        names = [as_it_is]
    elif names is None:
        names = list(target.recipes_for(task, source_task(task).kind))
    if not names:
        raise InputError(f"{path}: target.recipes is empty; see: edgekit recipes")
    chosen = [find_recipe(name, f"{path}: target.recipes") for name in names]
    for recipe in chosen:
        if not recipe.does(task):
            raise InputError(f"{path}: target.recipes: {recipe.name} does not do {task}")
        if source.is_quantized and recipe.name != as_it_is:
            raise InputError(
                f"{path}: target.recipes: the source is quantized already: {as_it_is} is all that"
                " can be made of it"
            )
    return list({recipe.name: recipe for recipe in chosen}.values())


def _prepare(context: BuildContext, spec_path: Path) -> PreparedBuild:
    spec = context.spec
    task_folder = _inspect(context, context.source)
    task = load_task(task_folder)
    _check_classes(spec.limits, task, spec_path)
    columns = input_columns(Path(spec.data.evaluation), task, spec.data.input, spec.data.label)
    evaluation = read_dataset(Path(spec.data.evaluation), task, columns, spec.data.label)
    calibration = read_dataset(Path(spec.data.calibration), task, columns, spec.data.label)
    excluded = check_disjoint(calibration, evaluation)
    if excluded:
        context.listener.warn(
            f"{calibration.path}: row {excluded[0] + 1} is in {evaluation.path} but for white space"
            f" or case; rows left out of calibration for that: {len(excluded)}"
        )
    unfit, refused = (_refused(context, task, data) for data in (calibration, evaluation))
    if spec.model.threshold:
        task_folder = _with_threshold(
            context, spec.model.threshold, task_folder, calibration, columns, unfit
        )
    return PreparedBuild(
        context=context,
        task_folder=task_folder,
        reference=_reference(context, task_folder, evaluation, columns, refused),
        calibration=calibration,
        evaluation=evaluation.without(refused),
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
    key = key_of(
        "inspect",
        source.sha256,
        source.task,
        context.spec.model.max_length,
        context.spec.data.on_too_long,
        context.versions,
    )
    folder = context.cache / "tasks" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = InspectRequest(
                source=source,
                max_length=context.spec.model.max_length,
                on_too_long=context.spec.data.on_too_long,
                out=str(work),
            )
            context.run("edgekit.quantize.prepare:inspect_job", request, "source")
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
        threshold,
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
                threshold=threshold,
                out=str(work),
            )
            context.run("edgekit.quantize.prepare:threshold_job", request, "threshold")
    return folder


def _reference(
    context: BuildContext,
    task_folder: Path,
    evaluation: Dataset,
    columns: list[str],
    refused: list[int],
) -> Path:
    data = context.spec.data
    own = (
        task_folder if context.reference is context.source else _inspect(context, context.reference)
    )
    key = key_of(
        "reference",
        context.reference.sha256,
        own.name,
        task_folder.name,
        evaluation.sha256,
        columns,
        data.label,
        data.release_rows,
        context.versions,
    )
    folder = context.cache / "references" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = ReferenceRequest(
                source=context.reference,
                own_task_folder=str(own),
                task_folder=str(task_folder),
                evaluation=str(evaluation.path),
                columns=columns,
                label=data.label,
                refused=refused,
                release_rows=list(data.release_rows),
                out=str(work),
            )
            context.run("edgekit.quantize.prepare:reference_job", request, "reference")
    return folder
