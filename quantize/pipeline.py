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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

import edgekit.edge
import edgekit.profiles
import edgekit.quantize
import edgekit.targets
from edgekit import __version__
from edgekit.edge.engines import ENGINES, engine_version, settings
from edgekit.edge.tasks import find_task, load_task
from edgekit.errors import EdgekitError, InputError, JobFailed, MissingPackage
from edgekit.files import describe_folder, digest_bytes, lock, make_folder, new_folder, write_durably
from edgekit.job import run_job
from edgekit.nouns import Artifact, Build, Evidence, File, Noun, Setting, Unreadable, Variant, read_json
from edgekit.profiles.choose import choose, judge
from edgekit.profiles.data import Dataset, check_disjoint, input_columns, read_dataset
from edgekit.profiles.measure import MeasureRequest
from edgekit.quantize.prepare import REFERENCES, InspectRequest, ReferenceRequest
from edgekit.quantize.recipes import Recipe, RecipeRequest, find_recipe, missing_package
from edgekit.quantize.source import Source, read_source
from edgekit.spec import Spec, load_spec
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

# what is worked on, the stage, the share of that stage; called often
Watch = Callable[[str, str, float], None]


class Failure(Noun, frozen=True, kw_only=True):
    """A step that failed for a reason that will not go away by itself."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What every step of one build needs."""

    spec: Spec
    source: Source
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
            function, msgspec.to_builtins(request), log, lambda stage, share: self.watch(what, stage, share)
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


def build(spec_path: Path, out: Path, *, quick: bool, watch: Watch, warn: Callable[[str], None]) -> Build:
    """Run the whole build and write `out/build.json`; raises InputError before anything is written where it can."""
    spec, out = load_spec(spec_path), out.resolve()
    find_task(spec.model.task, f"{spec_path}: model.task")
    machine = detect_machine()
    target = _target(spec, machine, spec_path)
    recipes = _recipes(spec, target, spec_path)
    source = read_source(Path(spec.model.source), spec.model.task)
    make_folder(out)
    with lock(out / "lock", "edgekit build"):
        _clear_leftovers(out / "cache")
        shop = Workshop(
            spec=spec, source=source, target=target, machine=machine, quick=quick, cache=make_folder(out / "cache"),
            logs=make_folder(out / "logs"), versions=_build_versions(), watch=watch,
        )  # fmt: skip
        bench = _prepare(shop, warn)
        variants = tuple(judge(_variant(bench, recipe), spec.limits) for recipe in recipes)
        result = Build(
            model=spec.model.name,
            version=spec.model.version,
            task=spec.model.task,
            target=target.name,
            architecture=machine.architecture,
            isa=shop.isa,
            objective=spec.objective,
            limits={
                key: value for key, value in msgspec.to_builtins(spec.limits).items() if value is not None
            },
            reference=REFERENCES[source.kind],
            evaluation_samples=len(bench.evaluation),
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


def _recipes(spec: Spec, target: Target, path: Path) -> list[Recipe]:
    names = spec.target.recipes
    if names is None:
        names = list(target.recipes.get(spec.model.task, ()))
    if not names:
        raise InputError(f"{path}: target.recipes is empty; see: edgekit recipes")
    chosen = [find_recipe(name, f"{path}: target.recipes") for name in names]
    for recipe in chosen:
        if spec.model.task not in recipe.tasks:
            raise InputError(f"{path}: target.recipes: {recipe.name} does not do {spec.model.task}")
    return list({recipe.name: recipe for recipe in chosen}.values())


def _prepare(shop: Workshop, warn: Callable[[str], None]) -> Bench:
    spec = shop.spec
    task_folder = _inspect(shop)
    task = load_task(task_folder)
    columns = input_columns(Path(spec.data.evaluation), task, spec.data.input, spec.data.label)
    evaluation = read_dataset(Path(spec.data.evaluation), task, columns, spec.data.label)
    calibration = read_dataset(Path(spec.data.calibration), task, columns, spec.data.label)
    excluded = check_disjoint(calibration, evaluation)
    if excluded:
        warn(
            f"{calibration.path}: row {excluded[0] + 1} is in {evaluation.path} but for white space or case; "
            f"rows left out of calibration for that: {len(excluded)}"
        )
    return Bench(
        shop=shop,
        task_folder=task_folder,
        reference=_reference(shop, task_folder, evaluation, columns),
        calibration=calibration,
        evaluation=evaluation,
        columns=columns,
        excluded=excluded,
    )


def _inspect(shop: Workshop) -> Path:
    key = _key("inspect", shop.source.sha256, shop.spec.model.max_length, shop.versions)
    folder = shop.cache / "tasks" / key
    if not folder.is_dir():
        with new_folder(folder) as work:
            request = InspectRequest(source=shop.source, max_length=shop.spec.model.max_length, out=str(work))
            shop.run("edgekit.quantize.prepare:inspect_job", request, "source")
    return folder


def _reference(shop: Workshop, task_folder: Path, evaluation: Dataset, columns: list[str]) -> Path:
    data = shop.spec.data
    key = _key(
        "reference",
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
                source=shop.source,
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
    files = _kept(record, tuple[File, ...]) if folder.is_dir() else None
    if files is None:
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
            shop.run("edgekit.quantize.recipes:recipe_job", request, recipe.name)
        files = describe_folder(folder)
        write_durably(record, msgspec.json.encode(files))
    return Artifact(
        name=recipe.name,
        format=recipe.format,
        precision=recipe.precision,
        method=recipe.method,
        engine=recipe.engine,
        key=key,
        files=files,
    )


def _evidence(bench: Bench, recipe: Recipe, artifact: Artifact) -> Evidence:
    """The evidence of an artifact, measured or found."""
    shop = bench.shop
    request = MeasureRequest(
        folder=str(shop.cache / "artifacts" / artifact.key),
        engine=recipe.engine,
        settings=_candidates(shop, recipe),
        evaluation=str(bench.evaluation.path),
        evaluation_sha256=bench.evaluation.sha256,
        columns=bench.columns,
        label=shop.spec.data.label,
        reference=str(bench.reference),
        quick=shop.quick,
        needs_p99=shop.spec.limits.p99_ms is not None,
        size_bytes=artifact.size_bytes,
        calibration_sha256=bench.calibration.sha256 if recipe.calibrated else "",
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
        msgspec.structs.replace(request, folder="", evaluation="", reference=""),
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
    """What the sweep chooses from: for latency the whole machine works on one input."""
    cores = shop.machine.cores
    streams = [1] if shop.spec.objective == "latency" or cores == 1 else [1, cores]
    return settings(cores, streams, BATCH_SIZES, recipe.computes)


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
        shop.watch(recipe.name, f"crashed with {error.signal}, trying another setting", 0)
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
