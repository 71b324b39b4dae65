"""Take a model the way that a release takes, without measuring it: recipe, bundle, deploy, open."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.digests import describe_folder
from edgekit.edge.appliance.store import Store
from edgekit.edge.deploy.deploy import deploy
from edgekit.edge.engines import engine_version
from edgekit.edge.model.tensor_model import Model, open_model, open_slot
from edgekit.edge.tasks.predictions import Prediction
from edgekit.edge.worker.scheduler import Outcome, Request, TensorScheduler
from edgekit.errors import EdgekitError
from edgekit.nouns import Artifact, Golden, Measured, Setting
from edgekit.profiles.build_folder import model_folder
from edgekit.quantize.prepare import InspectRequest, inspect_job
from edgekit.quantize.recipes import RECIPES, Recipe
from edgekit.quantize.recipes.recipe_job import RecipeRequest, recipe_job
from edgekit.quantize.source import Source, read_source
from edgekit.release.pack import pack
from edgekit.targets.detect import closest_target, detect_machine
from tests import evidence
from tests.small import signing

MODEL = "model"
BATCH = 8
SAMPLES, SEED = 4, 20  # of the golden samples
# llama.cpp's AMX kernels crash on some machines; here the answers count, not the speed.
OPTIONS: dict[str, dict[str, Any]] = {"llama.cpp": {"extra_bufts": False}}


def ship(
    source: Path, task: str, recipes: Sequence[str], work: Path, keys: Path
) -> list[Path | Exception]:
    """Make each recipe's artifact of a model and deploy it.

    Returns the appliance of each, or why there is none.

    recipes: by name, each behind the one that it starts from.
    keys: the folder with release.key and release.pub.
    """
    read = read_source(source, task)
    described = work / "task"
    described.mkdir(parents=True)
    inspect_job(InspectRequest(source=read, max_length=None, out=str(described)), _quiet)
    appliances: list[Path | Exception] = []
    for name in recipes:
        try:
            appliances.append(_ship(RECIPES[name], read, described, work, keys))
        except Exception as error:  # noqa: BLE001 - a build would note any as the variant's reason
            appliances.append(error)
    return appliances


def _ship(recipe: Recipe, source: Source, described: Path, work: Path, keys: Path) -> Path:
    build = _build(_make(recipe, source, described, work / "build"), source.task)
    evidence.write_build(work / "build", build)
    bundle, appliance = work / f"{recipe.name}.tar", work / f"{recipe.name}-appliance"
    pack(build, build.measured, work / "build", signing(keys), bundle)
    deploy(bundle, appliance, keys / "release.pub", _quiet)
    return appliance


def _quiet(what: str, share: float) -> None:
    """Say nothing about progress."""


def _make(recipe: Recipe, source: Source, described: Path, build: Path) -> Measured:
    """Run a recipe as a build does; its files and golden samples go where a build has them."""
    folder = model_folder(build, recipe.name)
    folder.mkdir(parents=True)
    request = RecipeRequest(
        recipe=recipe.name,
        source=source,
        base=str(model_folder(build, recipe.base)) if recipe.base else None,
        task_folder=str(described),
        calibration="",
        columns=[],
        label="",
        samples=0,
        excluded=[],
        isa=(),
        out=str(folder),
    )
    recipe_job(request, _quiet)
    setting = Setting(
        batch_size=BATCH, precision=recipe.computes, options=OPTIONS.get(recipe.engine, {})
    )
    golden = _golden(open_model(folder, recipe.engine, setting))
    (folder.parent / "golden.json").write_bytes(golden.to_json())
    versions = {recipe.engine: engine_version(recipe.engine)}
    measured = evidence.variant(
        recipe.name, setting=setting, versions=versions, peak_rss_bytes=2_000_000_000
    )
    artifact = Artifact(
        name=recipe.name,
        format=recipe.format,
        precision=recipe.precision,
        method=recipe.method,
        engine=recipe.engine,
        key=recipe.name,
        files=describe_folder(folder),
    )
    return Measured(artifact=artifact, evidence=measured.evidence)


def _golden(model: Model) -> Golden:
    inputs = model.task.made_inputs(SAMPLES, SEED)
    answers = model.answers([model.task.parse(value) for value in inputs])
    return Golden(
        inputs=inputs, answers=[row.tolist() for row in answers], labels=list(model.task.labels)
    )


def _build(variant: Measured, task: str) -> Any:  # noqa: ANN401
    machine = detect_machine()
    return evidence.build(
        variant,
        model=MODEL,
        task=task,
        target=closest_target(machine).name,
        architecture=machine.architecture,
        isa=machine.isa,
        source_sha256=f"sha256:{'0' * 64}",
    )


def open_shipped(appliance: Path) -> Model:
    """Open the model that an appliance serves."""
    serving = Store(appliance).serving(MODEL)
    return open_slot(serving.folder, serving.slot.slot_sha256)


def ask(model: Model, values: Sequence[object]) -> list[Prediction | EdgekitError | Exception]:
    """Ask a model as its worker does: each input's wire form is read, and calls are joined."""
    inputs: dict[int, Any] = {}
    found: dict[int, Prediction | EdgekitError | Exception] = {}
    for place, value in enumerate(values):
        try:
            inputs[place] = model.task.parse(value)
        except Exception as error:  # noqa: BLE001 - it is told apart by the caller
            found[place] = error
    future: Future[list[Outcome]] = Future()
    with TensorScheduler(model) as scheduler:
        scheduler.ask(Request(list(inputs.values()), future.set_result), "client")
        outcomes = future.result()
    for (place, value), outcome in zip(inputs.items(), outcomes, strict=True):
        if isinstance(outcome, np.ndarray):
            [found[place]] = model.task.decode([value], [outcome])
        else:
            found[place] = outcome
    return [found[place] for place in range(len(values))]
