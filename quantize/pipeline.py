"""The build: from a Spec to a Build, through every stage.

Each step is a job in a process of its own, one at a time, and its result is kept in the output folder under the
digest of everything that went into it. So a second build re-uses all, a killed build goes on, and an engine that
crashes is a failed variant.
"""

import importlib.metadata
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgekit import __version__
from edgekit.edge.builds import artifact_folder
from edgekit.edge.engines import ENGINES, engine_version, settings
from edgekit.edge.tasks import Task, find_task, load_task
from edgekit.errors import EdgekitError, InputError, JobFailed, MissingPackage
from edgekit.files import describe_folder, lock, make_folder, new_folder, write_durably
from edgekit.job import Progress, run_job
from edgekit.nouns import Artifact, Build, Evidence, Noun, Performance, Setting, Variant
from edgekit.profiles.choose import choose, judge_all
from edgekit.profiles.data import Dataset, check_disjoint, input_columns, read_dataset
from edgekit.profiles.measure import Judged, JudgeRequest
from edgekit.profiles.scenarios import Name
from edgekit.profiles.session import Contender, Plan, Session, performances, run_session, write_inputs
from edgekit.quantize.cache import clear_leftovers, kept, key_of, recorded
from edgekit.quantize.prepare import REFERENCES, InspectRequest, ReferenceRequest, ThresholdRequest
from edgekit.quantize.recipes import Recipe, find_recipe, missing_package
from edgekit.quantize.recipes.job import Made, RecipeRequest
from edgekit.quantize.source import Source, read_source
from edgekit.spec import Limits, Spec, load_spec
from edgekit.targets import Target, find_target
from edgekit.targets.detect import Machine, closest_target, detect_machine

BATCH_SIZES = (1, 8, 32)  # short texts alone need no padding, and answer as if alone
BUILD_PACKAGES = (
    "torch",
    "transformers",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "nncf",
    "openvino",
    "gguf",
    "llama-cpp-python",
    "tokenizers",
    "numpy",
    "Pillow",
)


class Watch(Protocol):
    """Who wants to know how far a build is."""

    def step(self, what: str, stage: str, share: float) -> None:
        """What is worked on, the stage, the share of that stage; called often."""

    def done(self, variant: Variant, peak_rss_bytes: int, number: int, total: int) -> None:
        """A variant is made and judged, whatever came of it; the peak is of judging it."""

    def warn(self, text: str) -> None:
        """Something that the user should know."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What every step of one build needs."""

    spec: Spec
    source: Source
    reference: Source  # the source itself, unless the spec names another
    target: Target
    machine: Machine
    effort: Name
    out: Path
    cache: Path
    logs: Path
    versions: dict[str, str]
    watch: Watch

    @property
    def isa(self) -> tuple[str, ...]:
        """The CPU features that the artifacts may count on."""
        return self.machine.isa if self.spec.target.device == "this" else self.target.isa

    def run(self, function: str, request: Noun, what: str) -> Any:  # noqa: ANN401
        """Run a job; its log is named after what it works on."""
        return self._run(function, request, what, lambda stage, share: self.watch.step(what, stage, share))

    def run_silently(self, function: str, request: Noun, what: str) -> Any:  # noqa: ANN401
        """The same for a job that is too short to tell how far it is."""
        return self._run(function, request, what, None)

    def _run(self, function: str, request: Noun, what: str, progress: Progress | None) -> Any:  # noqa: ANN401
        return run_job(function, msgspec.to_builtins(request), self.logs / f"{what}.log", progress)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A variant on its way: what the gate measured of it, or None and its reason."""

    variant: Variant
    judged: Judged | None = None


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A workshop with everything laid out that the variants share."""

    shop: Workshop
    task_folder: Path
    reference: Path
    calibration: Dataset
    evaluation: Dataset
    columns: list[str]
    excluded: list[int]  # calibration rows that are evaluation rows but for white space


def build(spec_path: Path, out: Path, *, effort: Name, watch: Watch) -> Build:
    """Run the whole build and write `out/build.json`; raises InputError before anything is written where it can."""
    spec, out = load_spec(spec_path), out.resolve()
    find_task(spec.model.task, f"{spec_path}: model.task")
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
        shop = Workshop(
            spec=spec, source=source, reference=reference, target=target, machine=machine, effort=effort, out=out, cache=make_folder(out / "cache"),
            logs=make_folder(out / "logs"), versions=_build_versions(), watch=watch,
        )  # fmt: skip
        bench = _prepare(shop, spec_path)
        candidates = []
        for number, recipe in enumerate(recipes, 1):
            candidates.append(_candidate(bench, recipe))
            variant, judged = candidates[-1].variant, candidates[-1].judged
            watch.done(variant, judged.peak_rss_bytes if judged else 0, number, len(recipes))
        variants, confidence = judge_all(_time(bench, candidates), spec.limits)
        result = Build(
            model=spec.model.name,
            version=spec.model.version,
            task=spec.model.task,
            target=target.name,
            architecture=machine.architecture,
            isa=shop.isa,
            objective=spec.objective,
            limits={
                key: value
                for key, value in msgspec.to_builtins(spec.limits).items()
                if value is not None and value != {}
            },
            reference=REFERENCES[reference.kind] + (", the source itself" if reference.is_quantized else ""),
            evaluation_samples=len(bench.evaluation),
            tested_confidence=confidence,
            variants=variants,
            choice=choose(variants, spec.objective),
        )
        write_durably(out / "golden.json", (bench.reference / "golden.json").read_bytes())
        write_durably(out / "build.json", msgspec.json.format(result.to_json(), indent=2))
    return result


def _target(spec: Spec, machine: Machine, path: Path) -> Target:
    target = closest_target(machine) if spec.target.device == "this" else find_target(
        spec.target.device, f"{path}: target.device"
    )  # fmt: skip
    if target.architecture != machine.architecture:
        raise InputError(
            f"{path}: target.device = {target.name!r} is {target.architecture} and this machine is {machine.architecture}; "
            "variants are measured where they are built, so run this build on such a device"
        )
    return target


def _reference_source(spec: Spec, source: Source, path: Path) -> Source:
    """What the variants are compared with; raises InputError where there is nothing and a limit asks for it."""
    if spec.model.reference:
        return read_source(Path(spec.model.reference), spec.model.task)
    if source.is_quantized and spec.limits.max_accuracy_drop is not None:
        raise InputError(
            f"{path}: limits.max_accuracy_drop: the source is quantized already, so there is nothing to compare it with; "
            "name the model that it was made from in model.reference, or set limits.min_metric instead"
        )
    return source


def _recipes(spec: Spec, source: Source, target: Target, path: Path) -> list[Recipe]:
    as_it_is = f"{source.kind}-source"
    names = spec.target.recipes
    if names is None:
        names = [as_it_is] if source.is_quantized else list(target.recipes.get(spec.model.task, ()))
    if not names:
        raise InputError(f"{path}: target.recipes is empty; see: edgekit recipes")
    chosen = [find_recipe(name, f"{path}: target.recipes") for name in names]
    for recipe in chosen:
        if spec.model.task not in recipe.tasks:
            raise InputError(f"{path}: target.recipes: {recipe.name} does not do {spec.model.task}")
        if source.is_quantized and recipe.name != as_it_is:
            raise InputError(
                f"{path}: target.recipes: the source is quantized already: {as_it_is} is all that can be made of it"
            )
    return list({recipe.name: recipe for recipe in chosen}.values())


def _prepare(shop: Workshop, spec_path: Path) -> Bench:
    spec = shop.spec
    task_folder = _inspect(shop, shop.source)
    task = load_task(task_folder)
    _check_classes(spec.limits, task, spec_path)
    columns = input_columns(Path(spec.data.evaluation), task, spec.data.input, spec.data.label)
    evaluation = read_dataset(Path(spec.data.evaluation), task, columns, spec.data.label)
    calibration = read_dataset(Path(spec.data.calibration), task, columns, spec.data.label)
    excluded = check_disjoint(calibration, evaluation)
    if excluded:
        shop.watch.warn(
            f"{calibration.path}: row {excluded[0] + 1} is in {evaluation.path} but for white space or case; "
            f"rows left out of calibration for that: {len(excluded)}"
        )
    if spec.model.threshold:
        task_folder = _with_threshold(shop, task_folder, calibration, columns)
    return Bench(
        shop=shop,
        task_folder=task_folder,
        reference=_reference(shop, task_folder, evaluation, columns),
        calibration=calibration,
        evaluation=evaluation,
        columns=columns,
        excluded=excluded,
    )


def _inspect(shop: Workshop, source: Source) -> Path:
    key = key_of("inspect", source.sha256, source.task, shop.spec.model.max_length, shop.versions)
    folder = shop.cache / "tasks" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = InspectRequest(source=source, max_length=shop.spec.model.max_length, out=str(work))
            shop.run("edgekit.quantize.prepare:inspect_job", request, "source")
    return folder


def _check_classes(limits: Limits, task: Task, path: Path) -> None:
    """Floors must be for classes that the model has; of entities, the kinds are the classes."""
    known = (
        {label.partition("-")[2] or label for label in task.labels}
        if task.metric == "entity_f1"
        else task.labels
    )
    for key, floors in (("min_recall", limits.min_recall), ("min_precision", limits.min_precision)):
        unknown = [name for name in floors if name not in known]
        if unknown:
            raise InputError(
                f"{path}: limits.{key}: the model has no class {unknown[0]!r}; it has: {', '.join(sorted(known)[:8])}"
            )


def _with_threshold(shop: Workshop, task_folder: Path, calibration: Dataset, columns: list[str]) -> Path:
    """The task with the threshold that the spec asks for."""
    threshold = shop.spec.model.threshold
    assert threshold is not None  # noqa: S101 - the caller looked
    label = shop.spec.data.label
    key = key_of("threshold", task_folder.name, calibration.sha256, columns, label, threshold, shop.versions)
    folder = shop.cache / "tasks" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = ThresholdRequest(
                source=shop.source, task_folder=str(task_folder), calibration=str(calibration.path), columns=columns,
                label=label, threshold=threshold, out=str(work),
            )  # fmt: skip
            shop.run("edgekit.quantize.prepare:threshold_job", request, "threshold")
    return folder


def _reference(shop: Workshop, task_folder: Path, evaluation: Dataset, columns: list[str]) -> Path:
    data = shop.spec.data
    own = task_folder if shop.reference is shop.source else _inspect(shop, shop.reference)
    key = key_of(
        "reference",
        shop.reference.sha256,
        own.name,
        task_folder.name,
        evaluation.sha256,
        columns,
        data.label,
        data.release_rows,
        shop.versions,
    )
    folder = shop.cache / "references" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = ReferenceRequest(
                source=shop.reference,
                own_task_folder=str(own),
                task_folder=str(task_folder),
                evaluation=str(evaluation.path),
                columns=columns,
                label=data.label,
                release_rows=list(data.release_rows),
                out=str(work),
            )
            shop.run("edgekit.quantize.prepare:reference_job", request, "reference")
    return folder


def _candidate(bench: Bench, recipe: Recipe) -> Candidate:
    """Make and judge one variant; whatever goes wrong with it is its reason."""
    blank = Variant(
        name=recipe.name,
        format=recipe.format,
        precision=recipe.precision,
        engine=recipe.engine,
        status="failed",
        reason="",
    )
    try:
        if reason := _why_skip(bench, recipe):
            return Candidate(variant=msgspec.structs.replace(blank, status="skipped", reason=reason))
        artifact = _artifact(bench, recipe)
        blank = msgspec.structs.replace(blank, artifact=artifact)
        return Candidate(variant=blank, judged=_judged(bench, recipe, artifact))
    except EdgekitError as error:
        return Candidate(variant=msgspec.structs.replace(blank, reason=str(error)))


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
        recipe,
        base.key if base else None,
        shop.isa,
        [bench.calibration.sha256, data.calibration_samples, bench.excluded] if recipe.calibrated else None,
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
                shop.run("edgekit.quantize.recipes.job:recipe_job", request, recipe.name), Made
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
        folder=str(artifact_folder(shop.out, artifact)),
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
    """What the sweep chooses from: for latency one stream on so many threads, else as many streams as cores, too."""
    cores = shop.machine.cores
    if shop.spec.objective in ("throughput", "energy"):
        return settings(cores, [1, cores] if cores > 1 else [1], BATCH_SIZES, recipe.computes)
    # The engine's own choice may pin its threads, and two "cores" may be one that is shared.
    threads = dict.fromkeys((0, cores, 1))
    return [
        Setting(precision=recipe.computes, threads=count, batch_size=size)
        for count in threads
        for size in BATCH_SIZES
    ]


def _judge(shop: Workshop, recipe: Recipe, request: JudgeRequest) -> Judged:
    """Where the engine crashes, once more with the settings that it is known to survive."""
    try:
        return msgspec.convert(shop.run("edgekit.profiles.measure:judge_job", request, recipe.name), Judged)
    except JobFailed as error:
        options = ENGINES[recipe.engine].retry_options
        retries = [msgspec.structs.replace(setting, options=options) for setting in request.settings]
        if error.signal is None or not options or retries == list(request.settings):
            raise
        shop.watch.step(recipe.name, f"crashed with {error.signal}, trying another setting", 0)
        return _judge(shop, recipe, msgspec.structs.replace(request, settings=retries))


def _time(bench: Bench, candidates: Sequence[Candidate]) -> list[Variant]:
    """The candidates' variants with their evidence: one timing session for all of them, made or found."""
    shop, limits = bench.shop, bench.shop.spec.limits
    contenders = [
        Contender(
            name=item.variant.name,
            folder=str(artifact_folder(shop.out, item.variant.artifact)),
            engine=item.variant.engine,
            setting=item.judged.setting,
        )
        for item in candidates
        if item.variant.artifact and item.judged
    ]
    key = key_of(
        "timing", shop.effort, limits.p99_ms is not None, bench.evaluation.sha256, bench.columns, shop.machine.description,
        [(item.variant.artifact.key, item.judged.setting) for item in candidates if item.variant.artifact and item.judged],
        {item.engine: engine_version(item.engine) for item in contenders},
    )  # fmt: skip
    record = make_folder(shop.cache / "timing") / f"{key}.json"
    with tempfile.TemporaryDirectory(
        prefix="edgekit-inputs-"
    ) as scratch:  # the user's data: not into the cache
        inputs = Path(scratch) / "inputs.json"
        write_inputs(load_task(bench.task_folder), bench.evaluation.inputs, inputs)
        plan = Plan(
            effort=shop.effort, cores=shop.machine.cores, inputs=str(inputs), p99_limit_ms=limits.p99_ms
        )
        session = run_session(
            contenders,
            plan,
            shop.run_silently,
            lambda name, stage, share: shop.watch.step("timing", f"{stage}: {name}", share),
            begun=kept(record, Session) or Session(),
            keep=lambda session: write_durably(record, session.to_json()),
        )
    found = performances(session, plan)
    return [_with_evidence(shop, item, found.get(item.variant.name)) for item in candidates]


def _with_evidence(shop: Workshop, item: Candidate, found: Performance | str | None) -> Variant:
    """A variant with its evidence; with its reason where there is none."""
    variant, judged = item.variant, item.judged
    if judged is None or variant.artifact is None or found is None:
        return variant
    if isinstance(found, str):
        return msgspec.structs.replace(variant, reason=found)
    evidence = Evidence(
        setting=judged.setting,
        quality=judged.quality,
        performance=found,
        size_bytes=variant.artifact.size_bytes,
        machine=shop.machine.description,
        versions={
            "edgekit": __version__,
            "python": platform.python_version(),
            variant.engine: engine_version(variant.engine) or "",
        },
    )
    return msgspec.structs.replace(variant, evidence=evidence)


def _build_versions() -> dict[str, str]:
    versions = {"edgekit": __version__}
    for name in BUILD_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
