"""Recipes: how an artifact is made. `<format>-<precision>[-<method>]`.

To add one: a module like `onnx_int8_dynamic.py` with `make(ingredients)`, and its line in RECIPES.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgekit.edge.tasks import Task, Tensors, load_task
from edgekit.errors import InputError, MissingPackage
from edgekit.job import Progress
from edgekit.nouns import Noun, Option
from edgekit.profiles.data import Dataset, read_dataset
from edgekit.profiles.measure import peak_memory
from edgekit.quantize.contents import contents
from edgekit.quantize.source import Source

TEXT = ("text-classification", "token-classification", "feature-extraction")
GGUF_TASKS = ("text-classification", "feature-extraction")
GGUF_BLOCKS = ("q6_k", "q5_k_m", "q4_k_m", "q4_0", "iq4_xs", "q3_k_m", "q2_k")
CLASSIFIERS = ("text-classification", "image-classification", "tabular-classification")


class Recipe(Noun, frozen=True, kw_only=True):
    """One way to make an artifact.

    base: the recipe whose artifact it starts from.
    needs: the packages that making it imports, as Python names them.
    computes: the precision that the engine is asked for at run time.
    options: for `make`.
    """

    name: str
    format: str
    precision: str
    method: str
    engine: str
    module: str
    tasks: tuple[str, ...] = CLASSIFIERS
    base: str | None = None
    calibrated: bool = False
    needs: tuple[str, ...] = ()
    computes: str = "as-stored"
    isa: tuple[str, ...] = ()  # CPU features without which it makes no sense
    options: dict[str, Option] = {}


def _gguf(precision: str) -> Recipe:
    """As the checkpoint's 16-bit form."""
    return Recipe(
        name=f"gguf-{precision}", format="gguf", precision=precision, method="none", engine="llama.cpp",
        module="edgekit.quantize.recipes.gguf_float", tasks=GGUF_TASKS, needs=("gguf", "safetensors", "torch", "transformers"),
        options={"file_type": precision.upper()},
    )  # fmt: skip


def _gguf_quantized(precision: str, imatrix: bool) -> Recipe:
    """Made by llama.cpp from gguf-f16; with an importance matrix if asked."""
    method = "k-quants" if "_k" in precision else "i-quants" if precision.startswith("iq") else "blocks"
    return Recipe(
        name=f"gguf-{precision}{'-imatrix' if imatrix else ''}", format="gguf", precision=precision,
        method=f"{method}, importance matrix" if imatrix else method, engine="llama.cpp", base="gguf-f16",
        module="edgekit.quantize.recipes.gguf_quantize", tasks=GGUF_TASKS, calibrated=imatrix,
        needs=("llama_cpp", "gguf", "torch", "transformers") if imatrix else ("llama_cpp", "gguf"),
        options={"file_type": precision.upper(), "imatrix": imatrix},
    )  # fmt: skip


def _as_it_is(kind: str, engine: str) -> Recipe:
    return Recipe(
        name=f"{kind}-source", format=kind, precision="as-stored", method="taken as it is", engine=engine,
        module="edgekit.quantize.recipes.as_it_is", tasks=(*TEXT, *CLASSIFIERS[1:]), options={"ending": kind},
    )  # fmt: skip


def _openvino(name: str, precision: str, computes: str, isa: tuple[str, ...] = ()) -> Recipe:
    return Recipe(
        name=name, format="openvino", precision=precision, method="none", engine="openvino", computes=computes, isa=isa,
        module="edgekit.quantize.recipes.openvino_float", base="onnx-fp32", needs=("openvino",),
    )  # fmt: skip


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="onnx-fp32", format="onnx", precision="fp32", method="none", engine="onnxruntime",
            module="edgekit.quantize.recipes.onnx_fp32", tasks=(*TEXT, *CLASSIFIERS[1:]), needs=("onnx", "optimum", "torch", "transformers"),
        ),
        Recipe(
            name="onnx-int8-dynamic", format="onnx", precision="int8", method="dynamic", engine="onnxruntime",
            module="edgekit.quantize.recipes.onnx_int8_dynamic", base="onnx-fp32", needs=("onnx", "onnxruntime"),
        ),
        Recipe(
            name="onnx-int8-static", format="onnx", precision="int8", method="static QDQ, MinMax", engine="onnxruntime",
            module="edgekit.quantize.recipes.onnx_int8_static", base="onnx-fp32", calibrated=True,
            needs=("onnx", "onnxruntime"),
        ),
        _as_it_is("onnx", "onnxruntime"),
        _as_it_is("gguf", "llama.cpp"),
        _openvino("openvino-fp32", "fp32", "fp32"),
        _openvino("openvino-bf16", "bf16", "bf16", isa=("bf16",)),
        Recipe(
            name="openvino-int8", format="openvino", precision="int8", method="NNCF PTQ", engine="openvino",
            module="edgekit.quantize.recipes.openvino_int8", base="onnx-fp32", calibrated=True, computes="fp32",
            needs=("openvino", "nncf"),
        ),
        _gguf("f16"),
        _gguf("bf16"),
        _gguf_quantized("q8_0", imatrix=False),
        *(_gguf_quantized(precision, imatrix) for imatrix in (False, True) for precision in GGUF_BLOCKS),
    )
}  # fmt: skip


def find_recipe(name: str, where: str) -> Recipe:
    """A recipe by name; raises InputError that lists the known ones. `where` is the file and key."""
    if name not in RECIPES:
        raise InputError(f"{where}: unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]


def missing_package(recipe: Recipe) -> MissingPackage | None:
    """What must be installed before this recipe can run, or None."""
    from importlib.util import find_spec

    absent = [name for name in recipe.needs if find_spec(name) is None]
    if not absent:
        return None
    extra = {"llama_cpp": "gguf"}.get(absent[0], "build")
    return MissingPackage.of(f"{absent[0]}, which {recipe.name} needs,", extra)


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a recipe gets.

    base: the folder of the base recipe's artifact.
    calibration: one input each, as tensors, at the lengths the data really has; empty unless the recipe is calibrated.
    isa: the target's CPU features, as Linux names them.
    out: where to put the model's files.
    """

    source: Source
    base: Path | None
    calibration: list[Tensors]
    isa: tuple[str, ...]
    out: Path
    progress: Progress
    options: dict[str, Option] = field(default_factory=dict)

    def from_base(self, name: str) -> Path:
        """A file of the base artifact."""
        assert self.base is not None  # noqa: S101 - the pipeline passes it to every recipe that has a base
        return self.base / name


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


class Made(Noun, frozen=True, kw_only=True):
    """What `recipe_job` says of the artifact; Artifact has the same fields."""

    contents: dict[str, int]
    calibration_samples: int
    calibration_sha256: str
    peak_rss_bytes: int


def recipe_job(request: object, progress: Progress) -> object:
    """Make one artifact in `out`."""
    asked = msgspec.convert(request, RecipeRequest)
    recipe = RECIPES[asked.recipe]
    out = Path(asked.out)
    task = load_task(Path(asked.task_folder))
    progress("making", 0)
    chosen = _calibration(asked, task)[0] if recipe.calibrated else None
    ingredients = Ingredients(
        source=asked.source,
        base=Path(asked.base) if asked.base else None,
        calibration=[task.encode([value]) for value in chosen.inputs] if chosen else [],
        isa=asked.isa,
        out=out,
        progress=progress,
        options=recipe.options,
    )
    importlib.import_module(recipe.module).make(ingredients)
    for path in Path(asked.task_folder).iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    made = Made(
        contents=contents(out),
        calibration_samples=len(chosen.inputs) if chosen else 0,
        calibration_sha256=chosen.digest() if chosen else "",
        peak_rss_bytes=peak_memory(),
    )
    return msgspec.to_builtins(made)


def _calibration(asked: RecipeRequest, task: Task) -> tuple[Dataset, Dataset]:
    """The sample that a recipe is calibrated on, and the rows that are left."""
    data = read_dataset(Path(asked.calibration), task, asked.columns, asked.label)
    return data.without(asked.excluded).split(asked.samples)


def tensors_for(names: Sequence[str], feeds: Tensors) -> Tensors:
    """Only the tensors that a model takes."""
    return {name: feeds[name] for name in names if name in feeds}
