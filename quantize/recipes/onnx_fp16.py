"""onnx-fp16: weights and arithmetic in fp16, inputs and outputs as they were.

A CPU without fp16 kernels casts the weights back when it loads the model: half the file, the speed
of fp32.
"""

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgekit.quantize.recipes import Ingredients


def make(ingredients: Ingredients) -> None:
    """Write model.onnx."""
    model = onnx.load(ingredients.from_base("model.onnx"))
    with warnings.catch_warnings():
        # on each number beyond fp16; the mask's minus infinity is one
        warnings.simplefilter("ignore")
        converted = convert_float_to_float16(model, keep_io_types=True)
    onnx.save(converted, ingredients.out / "model.onnx")
