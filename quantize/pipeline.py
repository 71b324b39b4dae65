"""The build: from a Spec to a Build, through every stage.

Each step is a job in a process of its own, one at a time, and its result is kept in the output folder under the
digest of everything that went into it. So a second build re-uses all, a killed build goes on, and an engine that
crashes is a failed variant.
"""

import errno
import hashlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec

import edgekit.edge
import edgekit.profiles
import edgekit.quantize
import edgekit.targets
from edgekit import __version__
from edgekit.edge.engines import ENGINES, engine_version, settings
from edgekit.edge.tasks import Task, find_task, load_task
from edgekit.errors import EdgekitError, InputError, JobFailed, MissingPackage
from edgekit.files import describe_folder, digest_bytes, lock, make_folder, new_folder, write_durably
from edgekit.job import run_job
from edgekit.nouns import Artifact, Build, Evidence, Noun, Setting, Unreadable, Variant, read_json
from edgekit.profiles.choose import choose, judge_all
from edgekit.profiles.data import Dataset, check_disjoint, input_columns, read_dataset
from edgekit.profiles.measure import MeasureRequest
from edgekit.quantize.prepare import REFERENCES, InspectRequest, ReferenceRequest, ThresholdRequest
from edgekit.quantize.recipes import Recipe, find_recipe, missing_package
from edgekit.quantize.recipes.job import Made, RecipeRequest
from edgekit.quantize.source import Source, read_source
from edgekit.spec import Limits, Spec, load_spec
from edgekit.targets import Target, find_target
from edgekit.targets.detect import Machine, closest_target, detect_machine

BATCH_SIZES = (8, 32)
LEAST_FREE = 16 << 20  # bytes; with less, a step that failed is taken to have failed for want of space
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

    def done(self, variant: Variant, number: int, total: int) -> None:
        """A variant is finished, whatever came of it."""

    def warn(self, text: str) -> None:
        """Something that the user should know."""


class Failure(Noun, frozen=True, kw_only=True):
    """A step that failed for a reason that will not go away by itself."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What every step of one build needs."""

    spec: Spec
    source: Source
    reference: Source  # the source itself, unless the spec names another
    target: Target
    machine: Machine
    quick: bool
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
        log = self.logs / f"{what}.log"
        return run_job(
            function,
            msgspec.to_builtins(request),
            log,
            lambda stage, share: self.watch.step(what, stage, share),
        )


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


def build(spec_path: Path, out: Path, *, quick: bool, watch: Watch) -> Build:
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
        _clear_leftovers(out / "cache")
        shop = Workshop(
            spec=spec, source=source, reference=reference, target=target, machine=machine, quick=quick, cache=make_folder(out / "cache"),
            logs=make_folder(out / "logs"), versions=_build_versions(), watch=watch,
        )  # fmt: skip
        bench = _prepare(shop, spec_path)
        made = []
        for number, recipe in enumerate(recipes, 1):
            made.append(_variant(bench, recipe))
            watch.done(made[-1], number, len(recipes))
        variants, confidence = judge_all(made, spec.limits)
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
    key = _key("inspect", source.sha256, source.task, shop.spec.model.max_length, shop.versions)
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
    key = _key("threshold", task_folder.name, calibration.sha256, columns, label, threshold, shop.versions)
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
    key = _key(
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


def _variant(bench: Bench, recipe: Recipe) -> Variant:
    """Make and measure one variant; whatever goes wrong with it is its reason."""
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
            return msgspec.structs.replace(blank, status="skipped", reason=reason)
        artifact = _artifact(bench, recipe)
        blank = msgspec.structs.replace(blank, artifact=artifact)
        return msgspec.structs.replace(blank, evidence=_evidence(bench, recipe, artifact))
    except EdgekitError as error:
        return msgspec.structs.replace(blank, reason=str(error))


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
    key = _key(
        "artifact",
        bench.task_folder.name,
        recipe,
        base.key if base else None,
        shop.isa,
        [bench.calibration.sha256, data.calibration_samples, bench.excluded] if recipe.calibrated else None,
        shop.versions,
    )
    folder, record = artifacts / key, artifacts / f"{key}.json"
    kept: Artifact | None = _kept(record, Artifact) if folder.is_dir() else None
    if kept is None:
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
        with _recorded(shop, key), new_folder(folder) as work:
            request = msgspec.structs.replace(request, out=str(work))
            made = msgspec.convert(
                shop.run("edgekit.quantize.recipes.job:recipe_job", request, recipe.name), Made
            )
        kept = Artifact(
            name=recipe.name,
            format=recipe.format,
            precision=recipe.precision,
            method=recipe.method,
            engine=recipe.engine,
            key=key,
            files=describe_folder(folder),
            **msgspec.structs.asdict(made),
        )
        write_durably(record, kept.to_json())
    return kept


def _evidence(bench: Bench, recipe: Recipe, artifact: Artifact) -> Evidence:
    """The evidence of an artifact, measured or found."""
    shop = bench.shop
    request = MeasureRequest(
        folder=str(shop.cache / "artifacts" / artifact.key),
        task_folder=str(bench.task_folder),
        engine=recipe.engine,
        settings=_candidates(shop, recipe),
        objective=shop.spec.objective,
        evaluation=str(bench.evaluation.path),
        evaluation_sha256=bench.evaluation.sha256,
        columns=bench.columns,
        label=shop.spec.data.label,
        reference=str(bench.reference),
        quick=shop.quick,
        needs_p99=shop.spec.limits.p99_ms is not None,
        size_bytes=artifact.size_bytes,
        calibration_sha256=artifact.calibration_sha256,
        machine=shop.machine.description,
        versions={
            "edgekit": __version__,
            "python": platform.python_version(),
            recipe.engine: engine_version(recipe.engine) or "",
        },
    )
    key = _key(
        "evidence",
        artifact.key,
        bench.reference.name,
        # Where the files lie says nothing about what is measured.
        msgspec.structs.replace(request, folder="", task_folder="", evaluation="", reference=""),
    )
    record = shop.cache / "evidence" / f"{key}.json"
    kept: Evidence | None = _kept(record, Evidence)
    if kept is not None:
        return kept
    with _recorded(shop, key):
        evidence = _measure(shop, recipe, request)
    make_folder(record.parent)
    write_durably(record, evidence.to_json())
    return evidence


def _candidates(shop: Workshop, recipe: Recipe) -> list[Setting]:
    """What the sweep chooses from: for latency one stream on so many threads, else as many streams as cores, too."""
    cores = shop.machine.cores
    if shop.spec.objective == "throughput":
        return settings(cores, [1, cores] if cores > 1 else [1], BATCH_SIZES, recipe.computes)
    # The engine's own choice may pin its threads, and two "cores" may be one that is shared.
    threads = dict.fromkeys((0, cores, 1))
    return [
        Setting(precision=recipe.computes, threads=count, batch_size=size)
        for count in threads
        for size in BATCH_SIZES
    ]


def _measure(shop: Workshop, recipe: Recipe, request: MeasureRequest) -> Evidence:
    """Sweep, then measure; where the engine crashes, once more with the settings that it is known to survive."""
    try:
        best = shop.run("edgekit.profiles.measure:sweep_job", request, recipe.name)
        chosen = msgspec.structs.replace(request, settings=[msgspec.convert(best, Setting)])
        return msgspec.convert(
            shop.run("edgekit.profiles.measure:measure_job", chosen, recipe.name), Evidence
        )
    except JobFailed as error:
        options = ENGINES[recipe.engine].retry_options
        retries = [msgspec.structs.replace(setting, options=options) for setting in request.settings]
        if error.signal is None or not options or retries == list(request.settings):
            raise
        shop.watch.step(recipe.name, f"crashed with {error.signal}, trying another setting", 0)
        return _measure(shop, recipe, msgspec.structs.replace(request, settings=retries))


@contextmanager
def _recorded(shop: Workshop, key: str) -> Iterator[None]:
    """Keep a failure that would come again, and raise it at once the next time."""
    path = shop.cache / "failures" / f"{key}.json"
    failure: Failure | None = _kept(path, Failure)
    if failure is not None:
        raise JobFailed(failure.message)
    try:
        yield
    except EdgekitError as error:
        if shutil.disk_usage(shop.cache).free < LEAST_FREE:  # libraries word a full disk in many ways
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(shop.cache)) from error
        # Killed from outside (out of memory, or by hand): the next run may be luckier.
        fleeting = getattr(error, "signal", None) in ("SIGKILL", "SIGTERM", "SIGINT", "SIGABRT")
        if not fleeting and not isinstance(error, MissingPackage):
            make_folder(path.parent)
            write_durably(path, Failure(message=str(error)).to_json())
        raise


def _kept(path: Path, kind: Any) -> Any:  # noqa: ANN401 - the kind's own type
    """A record of an earlier build, or None if there is none that this version can read."""
    try:
        return read_json(path.read_bytes(), kind)
    except (FileNotFoundError, Unreadable):
        return None


def _key(*parts: object) -> str:
    """A digest of everything that a step depends on, our own code among it."""
    text = msgspec.json.encode([_code_digest(), *parts], order="sorted")
    return digest_bytes(text).removeprefix("sha256:")[:24]


@cache
def _code_digest() -> str:
    """Of every module of edgekit: whatever changes in it, results are made anew rather than wrongly re-used."""
    digest = hashlib.sha256()
    for package in (edgekit, edgekit.edge, edgekit.profiles, edgekit.quantize, edgekit.targets):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _build_versions() -> dict[str, str]:
    versions = {"edgekit": __version__}
    for name in BUILD_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _clear_leftovers(cache: Path) -> None:
    """Half-made folders of a build that was killed; their names start with a dot (see edgekit.files.new_folder)."""
    for path in cache.glob("*/.*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
