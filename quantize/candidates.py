"""One candidate: its artifact from a recipe, the best setting, and the quality of its answers."""

import msgspec

from edgekit.digests import describe_folder
from edgekit.edge.engines import ENGINES, accelerator, engine_version, settings
from edgekit.errors import EdgekitError, JobFailed, MissingPackage
from edgekit.files import make_folder, new_folder, write_durably
from edgekit.nouns import Artifact, Option, Setting, Status, Variant
from edgekit.profiles.quality_job import MeasuredQuality, QualityRequest
from edgekit.quantize.build_context import BuildContext, Candidate, PreparedBuild
from edgekit.quantize.cache import kept, key_of, recorded
from edgekit.quantize.recipes import Recipe, find_recipe, missing_package
from edgekit.quantize.recipes.recipe_job import RecipeRequest, RecipeResult


def make_candidate(prepared: PreparedBuild, recipe: Recipe) -> Candidate | Variant:
    """Make an artifact and measure its answers; where that can't be, return the variant with why.

    Such a variant is skipped or failed, and finished with that.
    """
    if reason := _why_skip(prepared, recipe):
        return _without_evidence(recipe, "skipped", reason)
    try:
        artifact = _artifact(prepared, recipe)
    except EdgekitError as error:
        return _without_evidence(recipe, "failed", str(error))
    try:
        quality = _measured_quality(prepared, recipe, artifact)
        return Candidate(artifact=artifact, measured=quality)
    except EdgekitError as error:
        return _without_evidence(recipe, "failed", str(error), artifact)


def _without_evidence(
    recipe: Recipe, status: Status, reason: str, artifact: Artifact | None = None
) -> Variant:
    return Variant(
        name=recipe.name,
        format=recipe.format,
        precision=recipe.precision,
        engine=recipe.engine,
        status=status,
        reason=reason,
        artifact=artifact,
    )


def _why_skip(prepared: PreparedBuild, recipe: Recipe) -> str | None:
    missing = [name for name in recipe.isa if name not in prepared.context.isa]
    if missing:
        return f"this CPU has no {missing[0]}"
    if engine_version(recipe.engine) is None:
        return str(MissingPackage.of(f"the engine {recipe.engine}", ENGINES[recipe.engine].extra))
    if recipe.base is None and prepared.context.source.kind == "onnx":
        return None  # taken as it is
    package = missing_package(recipe)
    if package is None and recipe.base:
        package = missing_package(find_recipe(recipe.base, "base"))
    return str(package) if package else None


def _artifact(prepared: PreparedBuild, recipe: Recipe) -> Artifact:
    """Return the artifact of a recipe, made or found."""
    context, data = prepared.context, prepared.context.spec.data
    artifacts = context.cache / "artifacts"
    base = _artifact(prepared, find_recipe(recipe.base, "base")) if recipe.base else None
    key = key_of(
        "artifact",
        prepared.task_folder.name,
        # how it runs changes nothing in the files
        msgspec.structs.replace(recipe, batch_sizes=(), accelerated={}),
        base.key if base else None,
        context.isa,
        [prepared.calibration.sha256, data.calibration_samples, prepared.excluded]
        if recipe.calibrated
        else None,
        context.versions,
    )
    folder, record = artifacts / key, artifacts / f"{key}.json"
    found: Artifact | None = kept(record, Artifact) if folder.is_dir() else None
    if found is None:
        request = RecipeRequest(
            recipe=recipe.name,
            source=context.source,
            base=str(artifacts / base.key) if base else None,
            task_folder=str(prepared.task_folder),
            calibration=str(prepared.calibration.path),
            columns=prepared.columns,
            label=data.label,
            samples=data.calibration_samples,
            excluded=prepared.excluded,
            isa=context.isa,
            out="",
        )
        with recorded(context.cache, key), new_folder(folder) as work:
            request = msgspec.structs.replace(request, out=str(work))
            made = msgspec.convert(
                context.run("edgekit.quantize.recipes.recipe_job:recipe_job", request, recipe.name),
                RecipeResult,
            )
        found = Artifact(
            name=recipe.name,
            format=recipe.format,
            precision=recipe.precision,
            method=recipe.method,
            engine=recipe.engine,
            key=key,
            files=describe_folder(folder),
            **msgspec.structs.asdict(made),
        )
        write_durably(record, found.to_json())
    return found


def _measured_quality(
    prepared: PreparedBuild, recipe: Recipe, artifact: Artifact
) -> MeasuredQuality:
    """Return an artifact's best setting and what the gate measures with it, made or found."""
    context = prepared.context
    request = QualityRequest(
        folder=str(context.artifact_folder(artifact)),
        task_folder=str(prepared.task_folder),
        engine=recipe.engine,
        settings=_settings(context, recipe),
        objective=context.spec.objective,
        evaluation=str(prepared.evaluation.path),
        evaluation_sha256=prepared.evaluation.sha256,
        columns=prepared.columns,
        label=context.spec.data.label,
        refused=prepared.refused,
        reference=str(prepared.reference),
        effort=context.effort,
        calibration_sha256=artifact.calibration_sha256,
    )
    key = key_of(
        "quality",
        artifact.key,
        prepared.reference.name,
        # Where the files lie says nothing about what is measured.
        msgspec.structs.replace(request, folder="", task_folder="", evaluation="", reference=""),
        [context.machine.description, engine_version(recipe.engine)],
    )
    record = context.cache / "quality" / f"{key}.json"
    found: MeasuredQuality | None = kept(record, MeasuredQuality)
    if found is not None:
        return found
    with recorded(context.cache, key):
        found = _run_quality_job(context, recipe, request)
    make_folder(record.parent)
    write_durably(record, found.to_json())
    return found


def _settings(context: BuildContext, recipe: Recipe) -> list[Setting]:
    """List the settings that the sweep chooses from.

    For throughput and energy they have one stream, and also as many streams as cores; for any other
    objective one stream, on several numbers of threads. An accelerator that the target and the
    recipe are for has no threads.
    """
    if options := _accelerated(context, recipe):
        sizes = recipe.batch_sizes
        return [
            Setting(precision=recipe.computes, batch_size=size, options=options) for size in sizes
        ]
    return _on_cpu(context, recipe)


def _accelerated(context: BuildContext, recipe: Recipe) -> dict[str, Option]:
    if context.target.compile_on_device != recipe.engine:
        return {}
    found = (
        recipe.accelerated[name]
        for name in context.machine.accelerators
        if name in recipe.accelerated
    )
    return next(found, {})


def _on_cpu(context: BuildContext, recipe: Recipe) -> list[Setting]:
    cores = context.machine.cores
    if context.spec.objective in ("throughput", "energy"):
        return settings(
            cores, [1, cores] if cores > 1 else [1], recipe.batch_sizes, recipe.computes
        )
    # The engine's own choice may pin its threads, and two "cores" may be one that is shared.
    threads = dict.fromkeys((0, cores, 1))
    return [
        Setting(precision=recipe.computes, threads=count, batch_size=size)
        for count in threads
        for size in recipe.batch_sizes
    ]


def _run_quality_job(
    context: BuildContext, recipe: Recipe, request: QualityRequest
) -> MeasuredQuality:
    """Run the job; where the engine crashes, once more with settings that it is known to survive.

    Where its accelerator fails, it is run on the CPU.
    """
    try:
        return msgspec.convert(
            context.run("edgekit.profiles.quality_job:quality_job", request, recipe.name),
            MeasuredQuality,
        )
    except JobFailed as error:
        if accelerator(request.settings[0]):
            context.listener.warn(f"{recipe.name} runs on the CPU: {error}")
            return _run_quality_job(
                context, recipe, msgspec.structs.replace(request, settings=_on_cpu(context, recipe))
            )
        options = ENGINES[recipe.engine].retry_options
        retries = [
            msgspec.structs.replace(setting, options=options) for setting in request.settings
        ]
        if error.signal is None or not options or retries == list(request.settings):
            raise
        context.listener.step(
            recipe.name, f"crashed with {error.signal}, trying another setting", 0
        )
        return _run_quality_job(context, recipe, msgspec.structs.replace(request, settings=retries))
