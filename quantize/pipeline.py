"""The build: from a Spec to a Build, through every step.

Each step is a job in a process of its own, one at a time, and its result is kept in the output
folder under the digest of everything that went into it. So a second build re-uses all, a killed
build goes on, and an engine that crashes is a failed variant.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgekit.edge.tasks import find_task
from edgekit.errors import InputError
from edgekit.files import make_folder
from edgekit.locks import lock
from edgekit.nouns import Build, Variant
from edgekit.profiles.build_folder import VariantFiles, write_build
from edgekit.profiles.choose import choose, judge_all
from edgekit.profiles.scenarios import Name
from edgekit.quantize.before_recipes import prepare_build
from edgekit.quantize.build_context import (
    BuildContext,
    BuildListener,
    Candidate,
    build_versions,
)
from edgekit.quantize.cache import clear_leftovers, key_of
from edgekit.quantize.candidates import make_candidate
from edgekit.quantize.folder.newer import readable_folder
from edgekit.quantize.newer_library import needs_reference_answers
from edgekit.quantize.prepare import WORDS
from edgekit.quantize.recipes import Recipe, find_recipe
from edgekit.quantize.source import Source, read_source
from edgekit.quantize.sources import source_task, what_is_too_long
from edgekit.quantize.time_variants import time_all
from edgekit.spec import Spec, load_spec
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
    _check_library(spec, source, reference, spec_path)
    recipes = _recipes(spec, source, target, spec_path)
    make_folder(out)
    with lock(out / "lock", "edgekit build"):
        clear_leftovers(out / "cache")
        cache = make_folder(out / "cache")
        is_own = reference is source
        source = _readable(source, cache)
        reference = source if is_own else _readable(reference, cache)
        context = BuildContext(
            spec=spec,
            source=source,
            reference=reference,
            target=target,
            machine=machine,
            effort=effort,
            out=out,
            cache=cache,
            logs=make_folder(out / "logs"),
            versions=build_versions(),
            listener=listener,
        )
        prepared = prepare_build(context, spec_path)
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
            reference=(prepared.reference / WORDS).read_text("utf-8")
            + (", the source itself" if reference.is_quantized else ""),
            standing=prepared.standing,
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


def _check_library(spec: Spec, source: Source, reference: Source, path: Path) -> None:
    """Raise InputError where only a newer library is known to read a folder rightly."""
    if spec.model.reference_answers and reference.kind != "huggingface":
        raise InputError(
            f"{path}: model.reference_answers: only a Hugging Face folder is answered for by its"
            f" own library; the reference is of the kind {reference.kind}"
        )
    for folder in dict.fromkeys((reference.path, source.path)):
        if spec.model.reference_answers and folder == reference.path:
            continue
        if not (why := needs_reference_answers(Path(folder))):
            continue
        if folder != reference.path:
            raise InputError(f"{why}, which may read it wrongly; leave model.reference out")
        raise InputError(
            f"{why}, which may read it wrongly; let the newer one answer where it is installed"
            f" (edgekit reference-script {path} > answers.py; python answers.py) and name its file"
            " in model.reference_answers"
        )


def _readable(source: Source, cache: Path) -> Source:
    """Return the source, read through a translated copy where a newer library wrote the folder."""
    folder = Path(source.path)
    found = readable_folder(folder, cache / "folders" / key_of(source.path, source.sha256))
    if found == folder:
        return source
    return msgspec.structs.replace(source, path=str(found), origin=source.path)


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
