"""openvino-int8-accuracy: openvino-int8 where operations go back to float that lose agreement.

They go back until little agreement with fp32 is lost. It tunes on calibration rows that are not in
the calibration sample, never on the evaluation file.
"""

from collections.abc import Iterable
from typing import NamedTuple

import nncf
import numpy as np
import openvino as ov

from edgekit.edge.tasks import Tensors
from edgekit.errors import InputError
from edgekit.quantize.recipes import Ingredients, tensors_for
from edgekit.quantize.recipes.openvino_int8 import calibration, model_type
from edgekit.quantize.sources import source_task


class Item(NamedTuple):
    """One input with the answer of the fp32 model: [tokens, dimensions] or [dimensions]."""

    feeds: Tensors
    answer: np.ndarray


def make(ingredients: Ingredients) -> None:
    """Write model.xml and model.bin; raises InputError without rows to tune on.

    The option `max_drop` is a share of agreement.
    """
    if not ingredients.tuning:
        raise InputError(
            "openvino-int8-accuracy tunes on calibration rows beyond the sample, and there are"
            " none; add rows to data.calibration"
        )
    model = ov.convert_model(ingredients.from_base("model.onnx"))
    quantized = nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(calibration(ingredients, model)),
        nncf.Dataset(_answered(ingredients, model), lambda item: item.feeds),
        _cosine if source_task(ingredients.source.task).pools else _agreement,
        max_drop=float(ingredients.options["max_drop"]),
        drop_type=nncf.DropType.ABSOLUTE,
        subset_size=len(ingredients.calibration),
        model_type=model_type(ingredients),
        preset=nncf.QuantizationPreset.MIXED,
    )
    ov.save_model(quantized, ingredients.out / "model.xml", compress_to_fp16=False)


def _answered(ingredients: Ingredients, model: ov.Model) -> list[Item]:
    names = [port.get_any_name() for port in model.inputs]
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
    items = []
    for index, feeds in enumerate(ingredients.tuning):
        ingredients.progress("asking fp32", index / len(ingredients.tuning))
        taken = tensors_for(names, feeds)
        items.append(Item(taken, _answer(compiled, taken)))
    return items


def _answer(compiled: ov.CompiledModel, feeds: Tensors) -> np.ndarray:
    """Return the first output for the one input; tokens that are padding are left out."""
    value: np.ndarray = compiled(feeds)[0][0].copy()
    return value[feeds["attention_mask"][0] == 1] if value.ndim == 2 else value


def _agreement(compiled: ov.CompiledModel, items: Iterable[Item]) -> tuple[float, list[float]]:
    """Return how often the largest answer is as in fp32: the mean, and each input's share."""
    shares = [
        float(np.mean(_answer(compiled, item.feeds).argmax(-1) == item.answer.argmax(-1)))
        for item in items
    ]
    return float(np.mean(shares)), shares


def _cosine(compiled: ov.CompiledModel, items: Iterable[Item]) -> tuple[float, list[float]]:
    """Return how far the vectors point as in fp32: the mean, and each input's cosine."""
    cosines = []
    for item in items:
        value = _answer(compiled, item.feeds)
        norms = float(np.linalg.norm(value) * np.linalg.norm(item.answer))
        cosines.append(float(np.sum(value * item.answer)) / norms)
    return float(np.mean(cosines)), cosines
