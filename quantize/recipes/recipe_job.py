"""The job that makes one artifact: read the calibration data, run the recipe, look at its files."""

from pathlib import Path
from typing import Any

import msgspec

from edgekit.edge.tasks import Task, Tensors, load_task
from edgekit.edge.tasks.predictions import TRUNCATED
from edgekit.job import Progress
from edgekit.nouns import Noun
from edgekit.process import peak_memory
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.quantize.recipes import RECIPES, Ingredients, recipe_module
from edgekit.quantize.source import Source
from edgekit.quantize.weight_types import contents


class RecipeRequest(Noun, frozen=True, kw_only=True):
    """What `recipe_job` is asked."""

    recipe: str
    source: Source
    base: str | None
    task_folder: str
    calibration: str
    columns: list[str]
    label: str
    samples: int
    excluded: list[int]
    isa: tuple[str, ...]
    out: str


class RecipeResult(Noun, frozen=True, kw_only=True):
    """What `recipe_job` says of the artifact; Artifact has the same fields."""

    contents: dict[str, int]
    calibration_samples: int
    calibration_sha256: str
    calibration_cut: int
    peak_rss_bytes: int


def recipe_job(request: object, progress: Progress) -> object:
    """Make one artifact in `out`."""
    asked = msgspec.convert(request, RecipeRequest)
    recipe = RECIPES[asked.recipe]
    out = Path(asked.out)
    task = load_task(Path(asked.task_folder))
    progress("making", 0)
    sample, left = _calibration(asked, task) if recipe.calibrated else (None, None)
    encoded = _encoded(task, sample)
    ingredients = Ingredients(
        source=asked.source,
        base=Path(asked.base) if asked.base else None,
        calibration=_rows(encoded),
        tuning=_rows(_encoded(task, left)) if recipe.tuned else [],
        isa=asked.isa,
        out=out,
        progress=progress,
        options=recipe.options,
    )
    recipe_module(recipe).make(ingredients)
    for path in Path(asked.task_folder).iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    made = RecipeResult(
        contents=contents(out),
        calibration_samples=len(sample.inputs) if sample else 0,
        calibration_sha256=sample.digest() if sample else "",
        calibration_cut=sum(int(feeds[TRUNCATED].sum()) for feeds in encoded if TRUNCATED in feeds),
        peak_rss_bytes=peak_memory(),
    )
    return msgspec.to_builtins(made)


def _calibration(asked: RecipeRequest, task: Task[Any]) -> tuple[Dataset, Dataset]:
    """Draw the sample that a recipe is calibrated on, and at most as many of the other rows.

    A recipe that tunes gets half.
    """
    data = read_dataset(Path(asked.calibration), task, asked.columns, asked.label).without(
        asked.excluded
    )
    most = len(data) // 2 if RECIPES[asked.recipe].tuned else len(data)
    sample, rest = data.split(min(asked.samples, most))
    return sample, rest.split(len(sample))[0]


def _encoded(task: Task[Any], data: Dataset | None) -> list[Tensors]:
    """Each input by itself, at its own length."""
    return [task.encode([value]) for value in data.inputs] if data else []


def _rows(encoded: list[Tensors]) -> list[Tensors]:
    """Each row of the engine by itself: of a document that is read in windows, each window."""
    return [
        {name: value[row : row + 1] for name, value in feeds.items()}
        for feeds in encoded
        for row in range(max(map(len, feeds.values())))
    ]
