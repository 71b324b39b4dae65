"""onnx-int8-static: int8 weights and activations (QDQ); the activations' ranges come from the calibration data."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from edgekit.edge.tasks import Tensors
from edgekit.quantize.recipes import Ingredients, tensors_for
from edgekit.quantize.recipes.onnx_int8_dynamic import (
    EXTRA_OPTIONS,
    MATRIX_PRODUCTS,
    needs_reduced_range,
    preprocess,
)


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The calibration inputs one by one, with progress."""

    def __init__(self, ingredients: Ingredients, names: list[str]) -> None:
        self._feeds = self._walk(ingredients, names)

    @staticmethod
    def _walk(ingredients: Ingredients, names: list[str]) -> Iterator[Tensors]:
        for index, feeds in enumerate(ingredients.calibration):
            ingredients.progress("calibrating", index / len(ingredients.calibration))
            yield tensors_for(names, feeds)

    def get_next(self) -> Tensors | None:
        return next(self._feeds, None)


def make(ingredients: Ingredients) -> None:
    """Write model.onnx: matrix products and convolutions in int8, the rest as it was."""
    model = ingredients.from_base("model.onnx")
    names = [item.name for item in onnx.load(model, load_external_data=False).graph.input]
    with tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        preprocess(model, prepared)
        quantize_static(
            prepared,
            ingredients.out / "model.onnx",
            Reader(ingredients, names),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*MATRIX_PRODUCTS, "Conv"],
            per_channel=True,
            reduce_range=needs_reduced_range(ingredients.isa),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=EXTRA_OPTIONS,
        )
