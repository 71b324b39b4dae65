"""Recipes: how an artifact is made. `<format>-<precision>[-<method>]`.

To add one: a module like `onnx_int8_dynamic.py` with `make(ingredients)`, its line in RECIPES with
the kinds of input that it does, and its name in the TYPE_CHECKING block.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from edgekit.edge.tasks import Tensors
from edgekit.errors import InputError, MissingPackage
from edgekit.job import Progress
from edgekit.nouns import Noun, Option
from edgekit.quantize.source import Source
from edgekit.quantize.sources import source_task
from edgekit.targets import InputKind

GGUF_BLOCKS = ("q6_k", "q5_k_m", "q4_k_m", "q4_0", "iq4_xs", "q3_k_m", "q2_k")
TEXT: tuple[InputKind, ...] = ("text",)
TEXT_AND_PICTURE: tuple[InputKind, ...] = ("text", "picture")
ALL: tuple[InputKind, ...] = ("text", "picture", "table")


class Recipe(Noun, frozen=True, kw_only=True):
    """One way to make an artifact.

    format: of the artifact.
    precision: of most weights, as the artifact stores them.
    method: how it got there, in words.
    engine: what runs the artifact.
    module: the one with `make`.
    inputs: what the models that it takes may take.
    by_word: whether its artifacts can answer for each word of a text, not only for the whole.
    base: the recipe whose artifact it starts from; None for the source.
    calibrated: whether it gets a sample of the calibration data.
    tuned: whether it gets rows beyond that sample, too.
    needs: the packages that making it imports, as Python names them.
    computes: the precision that the engine is asked for at run time.
    isa: CPU features without which it makes no sense.
    options: for `make`.
    batch_sizes: what the sweep tries.
    accelerated: what the engine is asked for where the device has an accelerator, by its name in
        `edgekit targets detect`.
    """

    name: str
    format: str
    precision: str
    method: str
    engine: str
    module: str
    inputs: tuple[InputKind, ...] = ALL
    by_word: bool = True
    base: str | None = None
    calibrated: bool = False
    tuned: bool = False
    needs: tuple[str, ...] = ()
    computes: str = "as-stored"
    isa: tuple[str, ...] = ()
    options: dict[str, Option] = {}
    # short texts alone need no padding, and answer as if alone
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    accelerated: dict[str, dict[str, Option]] = {}

    def does(self, task: str) -> bool:
        """Tell whether artifacts of a task's models can be made this way."""
        source = source_task(task)
        return source.kind in self.inputs and (self.by_word or not source.by_word)


def _gguf(precision: str) -> Recipe:
    """Describe the recipe of a checkpoint's 16-bit form."""
    return Recipe(
        name=f"gguf-{precision}",
        format="gguf",
        precision=precision,
        method="none",
        engine="llama.cpp",
        module="edgekit.quantize.recipes.gguf_float",
        inputs=TEXT,
        by_word=False,
        needs=("gguf", "safetensors", "torch", "transformers"),
        options={"file_type": precision.upper()},
    )


def _gguf_quantized(precision: str, imatrix: bool) -> Recipe:
    """Describe a recipe of llama.cpp from gguf-f16; with an importance matrix if asked."""
    method = (
        "k-quants" if "_k" in precision else "i-quants" if precision.startswith("iq") else "blocks"
    )
    return Recipe(
        name=f"gguf-{precision}{'-imatrix' if imatrix else ''}",
        format="gguf",
        precision=precision,
        method=f"{method}, importance matrix" if imatrix else method,
        engine="llama.cpp",
        base="gguf-f16",
        module="edgekit.quantize.recipes.gguf_quantize",
        inputs=TEXT,
        by_word=False,
        calibrated=imatrix,
        needs=("llama_cpp", "gguf", "torch", "transformers") if imatrix else ("llama_cpp", "gguf"),
        options={"file_type": precision.upper(), "imatrix": imatrix},
    )


def _as_it_is(kind: str, engine: str, **fields: Any) -> Recipe:  # noqa: ANN401
    return Recipe(
        name=f"{kind}-source",
        format=kind,
        precision="as-stored",
        method="taken as it is",
        engine=engine,
        module="edgekit.quantize.recipes.as_it_is",
        options={"ending": kind},
        **fields,
    )


def _onnx(name: str, precision: str, method: str, module: str, **fields: Any) -> Recipe:  # noqa: ANN401
    fields = {"base": "onnx-fp32", "needs": ("onnx", "onnxruntime"), **fields}
    return Recipe(
        name=name, format="onnx", precision=precision, method=method, engine="onnxruntime",
        module=f"edgekit.quantize.recipes.{module}", **fields,
    )  # fmt: skip


def _openvino(name: str, precision: str, method: str, module: str, **fields: Any) -> Recipe:  # noqa: ANN401
    fields = {"base": "onnx-fp32", "needs": ("openvino", "nncf"), "computes": "fp32", **fields}
    return Recipe(
        name=name, format="openvino", precision=precision, method=method, engine="openvino",
        module=f"edgekit.quantize.recipes.{module}", **fields,
    )  # fmt: skip


_OPENVINO = {"needs": ("openvino",)}
_SAMPLED = {"inputs": TEXT, "calibrated": True}
_BLOCKS = ("onnx", "onnx_ir", "onnxruntime")
_INT4: dict[str, Option] = {"mode": "INT4_ASYM", "group_size": 64, "ratio": 1.0}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        _onnx(
            "onnx-fp32",
            "fp32",
            "none",
            "onnx_fp32",
            base=None,
            needs=("onnx", "optimum", "torch", "transformers"),
        ),
        _onnx(
            "onnx-fp16",
            "fp16",
            "none",
            "onnx_fp16",
            inputs=TEXT_AND_PICTURE,
            accelerated={"jetson-gpu": {"device": "TensorRT", "fp16": True}},
        ),
        _onnx("onnx-int8-dynamic", "int8", "dynamic", "onnx_int8_dynamic"),
        _onnx(
            "onnx-int8-dynamic-fused",
            "int8",
            "dynamic, attention fused",
            "onnx_int8_dynamic",
            inputs=TEXT,
            options={"fused": True},
        ),
        _onnx(
            "onnx-int8-static", "int8", "static QDQ, MinMax", "onnx_int8_static", calibrated=True
        ),
        _onnx(
            "onnx-int8-static-entropy",
            "int8",
            "static QDQ, Entropy",
            "onnx_int8_static",
            calibrated=True,
            options={"range": "Entropy"},
        ),
        _onnx(
            "onnx-int8-static-percentile",
            "int8",
            "static QDQ, Percentile",
            "onnx_int8_static",
            calibrated=True,
            options={"range": "Percentile"},
        ),
        _onnx(
            "onnx-int8-tensorrt",
            "int8",
            "static QDQ, symmetric, MinMax",
            "onnx_int8_static",
            calibrated=True,
            options={"tensorrt": True},
            inputs=TEXT_AND_PICTURE,
            accelerated={"jetson-gpu": {"device": "TensorRT", "int8": True}},
        ),
        _onnx(
            "onnx-int8-smoothquant",
            "int8",
            "static QDQ, SmoothQuant",
            "onnx_int8_smoothquant",
            **_SAMPLED,
            needs=("onnx", "nncf"),
            options={"alpha": 0.5},
        ),
        _onnx(
            "onnx-int8-weights",
            "int8",
            "weights in blocks of 32",
            "onnx_weights",
            inputs=TEXT,
            needs=_BLOCKS,
            options={"bits": 8, "block_size": 32, "symmetric": True},
        ),
        _onnx(
            "onnx-int4-weights",
            "int4",
            "weights in blocks of 32",
            "onnx_weights",
            inputs=TEXT,
            needs=_BLOCKS,
            options={"bits": 4, "block_size": 32, "symmetric": False},
        ),
        _as_it_is("onnx", "onnxruntime"),
        _as_it_is("gguf", "llama.cpp", inputs=TEXT, by_word=False),
        _openvino("openvino-fp32", "fp32", "none", "openvino_float", **_OPENVINO),
        _openvino(
            "openvino-fp16", "fp16", "none", "openvino_float", **_OPENVINO, options={"fp16": True}
        ),
        _openvino(
            "openvino-bf16",
            "bf16",
            "none",
            "openvino_float",
            **_OPENVINO,
            computes="bf16",
            isa=("bf16",),
        ),
        _openvino("openvino-int8", "int8", "NNCF PTQ", "openvino_int8", calibrated=True),
        _openvino(
            "openvino-int8-buckets",
            "int8",
            "NNCF PTQ, static lengths",
            "openvino_buckets",
            base="openvino-int8",
            needs=("openvino",),
            inputs=TEXT,
            # each falls into a part for every length: large ones keep the parts large
            batch_sizes=(1, 8, 32, 128, 256),
        ),
        _openvino(
            "openvino-int8-accuracy",
            "int8",
            "NNCF PTQ, accuracy control",
            "openvino_int8_accuracy",
            **_SAMPLED,
            tuned=True,
            options={"max_drop": 0.005},
        ),
        _openvino(
            "openvino-int8-npu",
            "int8",
            "NNCF PTQ, symmetric, static shape",
            "openvino_int8",
            **_SAMPLED,
            options={"npu": True},
            accelerated={"intel-npu": {"device": "NPU"}},
        ),
        _openvino(
            "openvino-int8-weights",
            "int8",
            "weights",
            "openvino_weights",
            inputs=TEXT,
            options={"mode": "INT8_ASYM"},
        ),
        _openvino(
            "openvino-int4-weights",
            "int4",
            "weights in groups of 64",
            "openvino_weights",
            inputs=TEXT,
            options=_INT4,
        ),
        _openvino(
            "openvino-int4-scale",
            "int4",
            "weights, scale estimation",
            "openvino_weights",
            **_SAMPLED,
            options={**_INT4, "scale_estimation": True},
        ),
        _openvino(
            "openvino-int4-awq",
            "int4",
            "weights, AWQ and scale estimation",
            "openvino_weights",
            **_SAMPLED,
            options={**_INT4, "awq": True, "scale_estimation": True},
        ),
        _openvino(
            "openvino-int4-gptq",
            "int4",
            "weights, GPTQ",
            "openvino_weights",
            **_SAMPLED,
            options={**_INT4, "gptq": True},
        ),
        _gguf("f16"),
        _gguf("bf16"),
        _gguf_quantized("q8_0", imatrix=False),
        *(
            _gguf_quantized(precision, imatrix)
            for imatrix in (False, True)
            for precision in GGUF_BLOCKS
        ),
    )
}


def find_recipe(name: str, where: str) -> Recipe:
    """Return a recipe by its name; raises InputError that lists the known ones.

    where: the file and the key that name it.
    """
    if name not in RECIPES:
        raise InputError(f"{where}: unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]


def missing_package(recipe: Recipe) -> MissingPackage | None:
    """Return what must be installed before this recipe can run, or None."""
    from importlib.util import find_spec

    absent = [name for name in recipe.needs if find_spec(name) is None]
    if not absent:
        return None
    extra = {"llama_cpp": "gguf"}.get(absent[0], "build")
    return MissingPackage.of(f"{absent[0]}, which {recipe.name} needs,", extra)


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a recipe gets.

    source: what is built from.
    base: the folder of the base recipe's artifact; None where the recipe has no base.
    calibration: one input each, as tensors, at the lengths the data really has; empty unless the
        recipe is calibrated.
    tuning: calibration rows that are not in that sample, at most as many, in the same form; empty
        unless the recipe is tuned.
    isa: the target's CPU features, as Linux names them.
    out: where to put the model's files.
    progress: to be told what is going on.
    options: the recipe's own.
    """

    source: Source
    base: Path | None
    calibration: list[Tensors]
    tuning: list[Tensors]
    isa: tuple[str, ...]
    out: Path
    progress: Progress
    options: dict[str, Option] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Tell whether the model takes texts: then it is a transformer."""
        return source_task(self.source.task).kind == "text"

    def from_base(self, name: str) -> Path:
        """Return the path of a file of the base artifact."""
        assert self.base is not None  # noqa: S101 - the pipeline passes it to every recipe that has a base
        return self.base / name


def tensors_for(names: Sequence[str], feeds: Tensors) -> Tensors:
    """Return only the tensors that a model takes."""
    return {name: feeds[name] for name in names if name in feeds}


class RecipeModule(Protocol):
    """What each module of the table offers."""

    def make(self, ingredients: Ingredients) -> None:
        """Write the model's files to the ingredients' `out`; raises InputError."""


def recipe_module(recipe: Recipe) -> RecipeModule:
    """Import the module of a recipe, and with it the libraries that the recipe needs."""
    return cast(RecipeModule, importlib.import_module(recipe.module))


if TYPE_CHECKING:
    from edgekit.quantize.recipes import (
        as_it_is,
        gguf_float,
        gguf_quantize,
        onnx_fp16,
        onnx_fp32,
        onnx_int8_dynamic,
        onnx_int8_smoothquant,
        onnx_int8_static,
        onnx_weights,
        openvino_buckets,
        openvino_float,
        openvino_int8,
        openvino_int8_accuracy,
        openvino_weights,
    )

    _CHECKED: tuple[RecipeModule, ...] = (
        as_it_is,
        gguf_float,
        gguf_quantize,
        onnx_fp16,
        onnx_fp32,
        onnx_int8_dynamic,
        onnx_int8_smoothquant,
        onnx_int8_static,
        onnx_weights,
        openvino_buckets,
        openvino_float,
        openvino_int8,
        openvino_int8_accuracy,
        openvino_weights,
    )
