"""onnx-int8-static: int8 weights and activations (QDQ), with ranges from the calibration data.

The ranges are those of the activations. Options:

range: how a range is found: "MinMax" (all that was seen), "Entropy" (what loses least information)
or "Percentile" (all but outliers).
tensorrt: writes what TensorRT takes: signed and symmetric everywhere, biases in fp32, a quantizer
of its own before each input.
"""

import tempfile
from pathlib import Path

from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from edgekit.edge.tasks import Tensors
from edgekit.nouns import Option
from edgekit.quantize.recipes import Ingredients, tensors_for
from edgekit.quantize.recipes.onnx_graph import (
    EXTRA_OPTIONS,
    MATRIX_PRODUCTS,
    input_names,
    is_arm,
    needs_reduced_range,
    preprocess,
)

PRODUCTS = [*MATRIX_PRODUCTS, "Conv"]
PERCENTILE = 99.99  # of a tensor's values; what lies beyond is cut
TENSORRT = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": True,
    "OpTypesToExcludeOutputQuantization": PRODUCTS,
}


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The calibration inputs one by one, with progress.

    The longest come first: a histogram keeps the width of its bins from the first input and grows
    in number.
    """

    def __init__(self, ingredients: Ingredients, names: list[str]) -> None:
        feeds = [tensors_for(names, item) for item in ingredients.calibration]
        self._feeds = sorted(feeds, key=lambda item: -sum(value.size for value in item.values()))
        self._progress = ingredients.progress
        self.set_range(0, len(self._feeds))

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Choose the inputs that `get_next` goes through."""
        self._next, self._end = start_index, end_index

    def get_next(self) -> Tensors | None:
        """Return the next input, or None."""
        if self._next >= self._end:
            return None
        self._progress("calibrating", self._next / len(self._feeds))
        self._next += 1
        return self._feeds[self._next - 1]


def make(ingredients: Ingredients) -> None:
    """Write model.onnx: matrix products and convolutions in int8, the rest as it was.

    One input's activations are held at a time: as a histogram takes them all, and lengths differ.
    """
    model = ingredients.from_base("model.onnx")
    signed = is_arm(ingredients.isa) or bool(ingredients.options.get("tensorrt"))
    with tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        preprocess(model, prepared)
        quantize_static(
            prepared,
            ingredients.out / "model.onnx",
            Reader(ingredients, input_names(model)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=PRODUCTS,
            per_channel=True,
            reduce_range=needs_reduced_range(ingredients.isa),
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[str(ingredients.options.get("range", "MinMax"))],
            extra_options=_extra_options(ingredients.options, signed),
        )


def _extra_options(options: dict[str, Option], signed: bool) -> dict[str, object]:
    return {
        **EXTRA_OPTIONS,
        "CalibStridedMinMax": 1,
        "CalibPercentile": PERCENTILE,
        "CalibTensorRangeSymmetric": False,
        "ActivationSymmetric": signed,
        # Rounding a product's result as well loses accuracy, and no time is won.
        "OpTypesToExcludeOutputQuantization": MATRIX_PRODUCTS,
        **(TENSORRT if options.get("tensorrt") else {}),
    }
