"""One candidate: its artifact from a recipe, the best setting, and the quality of its answers."""

import msgspec

from edgekit.edge.engines import ENGINES, accelerator, engine_version, settings
from edgekit.errors import EdgekitError, JobFailed, MissingPackage
from edgekit.files import describe_folder, make_folder, new_folder, write_durably
from edgekit.nouns import Artifact, Option, Setting, Status, Variant
from edgekit.profiles.quality_job import Judged, JudgeRequest
from edgekit.quantize.build_context import Bench, Candidate, Workshop
from edgekit.quantize.cache import kept, key_of, recorded
from edgekit.quantize.recipes import Recipe, find_recipe, missing_package
from edgekit.quantize.recipes.recipe_job import Made, RecipeRequest


def make_candidate(bench: Bench, recipe: Recipe) -> Candidate | Variant:
    """Make an artifact and measure its answers; where that can't be, return the variant with why.

    Such a variant is skipped or failed, and finished with that.
    """
    if reason := _why_skip(bench, recipe):
        return _without_evidence(recipe, "skipped", reason)
    try:
        artifact = _artifact(bench, recipe)
    except EdgekitError as error:
        return _without_evidence(recipe, "failed", str(error))
    try:
        judged = _judged(bench, recipe, artifact)
        return Candidate(artifact=artifact, judged=judged)
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


def _why_skip(bench: Bench, recipe: Recipe) -> str | None:
    missing = [name for name in recipe.isa if name not in bench.shop.isa]
    if missing:
        return f"this CPU has no {missing[0]}"
    if engine_version(recipe.engine) is None:
        return str(MissingPackage.of(f"the engine {recipe.engine}", ENGINES[recipe.engine].extra))
    if recipe.base is None and bench.shop.source.kind == "onnx":
        return None  # taken as it is
    package = missing_package(recipe)
    if package is None and recipe.base:
        package = missing_package(find_recipe(recipe.base, "base"))
    return str(package) if package else None


def _artifact(bench: Bench, recipe: Recipe) -> Artifact:
    """The artifact of a recipe, made or found."""
    shop, data = bench.shop, bench.shop.spec.data
    artifacts = shop.cache / "artifacts"
    base = _artifact(bench, find_recipe(recipe.base, "base")) if recipe.base else None
    key = key_of(
        "artifact",
        bench.task_folder.name,
        msgspec.structs.replace(
            recipe, batch_sizes=(), accelerated={}
        ),  # how it runs changes nothing in the files
        base.key if base else None,
        shop.isa,
        [bench.calibration.sha256, data.calibration_samples, bench.excluded]
        if recipe.calibrated
        else None,
        shop.versions,
    )
    folder, record = artifacts / key, artifacts / f"{key}.json"
    found: Artifact | None = kept(record, Artifact) if folder.is_dir() else None
    if found is None:
        request = RecipeRequest(
            recipe=recipe.name,
            source=shop.source,
            base=str(artifacts / base.key) if base else None,
            task_folder=str(bench.task_folder),
            calibration=str(bench.calibration.path),
            columns=bench.columns,
            label=data.label,
            samples=data.calibration_samples,
            excluded=bench.excluded,
            isa=shop.isa,
            out="",
        )
        with recorded(shop.cache, key), new_folder(folder) as work:
            request = msgspec.structs.replace(request, out=str(work))
            made = msgspec.convert(
                shop.run("edgekit.quantize.recipes.recipe_job:recipe_job", request, recipe.name),
                Made,
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


def _judged(bench: Bench, recipe: Recipe, artifact: Artifact) -> Judged:
    """The best setting of an artifact and what the gate measures with it, made or found."""
    shop = bench.shop
    request = JudgeRequest(
        folder=str(shop.artifact_folder(artifact)),
        task_folder=str(bench.task_folder),
        engine=recipe.engine,
        settings=_candidates(shop, recipe),
        objective=shop.spec.objective,
        evaluation=str(bench.evaluation.path),
        evaluation_sha256=bench.evaluation.sha256,
        columns=bench.columns,
        label=shop.spec.data.label,
        reference=str(bench.reference),
        effort=shop.effort,
        calibration_sha256=artifact.calibration_sha256,
    )
    key = key_of(
        "judged",
        artifact.key,
        bench.reference.name,
        # Where the files lie says nothing about what is measured.
        msgspec.structs.replace(request, folder="", task_folder="", evaluation="", reference=""),
        [shop.machine.description, engine_version(recipe.engine)],
    )
    record = shop.cache / "judged" / f"{key}.json"
    found: Judged | None = kept(record, Judged)
    if found is not None:
        return found
    with recorded(shop.cache, key):
        found = _judge(shop, recipe, request)
    make_folder(record.parent)
    write_durably(record, found.to_json())
    return found


def _candidates(shop: Workshop, recipe: Recipe) -> list[Setting]:
    """What the sweep chooses from: for latency one stream on so many threads, else as many streams
    as cores, too.

    An accelerator that the target and the recipe are for has no threads.
    """
    if options := _accelerated(shop, recipe):
        sizes = recipe.batch_sizes
        return [
            Setting(precision=recipe.computes, batch_size=size, options=options) for size in sizes
        ]
    return _on_cpu(shop, recipe)


def _accelerated(shop: Workshop, recipe: Recipe) -> dict[str, Option]:
    if shop.target.compile_on_device != recipe.engine:
        return {}
    found = (
        recipe.accelerated[name] for name in shop.machine.accelerators if name in recipe.accelerated
    )
    return next(found, {})


def _on_cpu(shop: Workshop, recipe: Recipe) -> list[Setting]:
    cores = shop.machine.cores
    if shop.spec.objective in ("throughput", "energy"):
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


def _judge(shop: Workshop, recipe: Recipe, request: JudgeRequest) -> Judged:
    """Where the engine crashes, once more with the settings that it is known to survive; without
    its accelerator, on the CPU.
    """
    try:
        return msgspec.convert(
            shop.run("edgekit.profiles.quality_job:judge_job", request, recipe.name), Judged
        )
    except JobFailed as error:
        if accelerator(request.settings[0]):
            shop.watch.warn(f"{recipe.name} runs on the CPU: {error}")
            return _judge(
                shop, recipe, msgspec.structs.replace(request, settings=_on_cpu(shop, recipe))
            )
        options = ENGINES[recipe.engine].retry_options
        retries = [
            msgspec.structs.replace(setting, options=options) for setting in request.settings
        ]
        if error.signal is None or not options or retries == list(request.settings):
            raise
        shop.watch.step(recipe.name, f"crashed with {error.signal}, trying another setting", 0)
        return _judge(shop, recipe, msgspec.structs.replace(request, settings=retries))
