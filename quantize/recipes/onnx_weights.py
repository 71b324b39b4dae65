"""onnx-int8-weights and onnx-int4-weights: weights in blocks, each with its own scale.

Activations stay in float.
"""

import logging

import onnx
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from edgekit.quantize.recipes import Ingredients

# the kernels' accuracy level: they round a block of activations to int8 on the way
INT8_PRODUCTS = 4


def make(ingredients: Ingredients) -> None:
    """Write model.onnx with a MatMulNBits for every product with a constant matrix.

    The options say how many `bits` the weights have and the `block_size`.
    """
    # it tells of every node
    logging.getLogger("onnxruntime.quantization").setLevel(logging.WARNING)
    options = ingredients.options
    quantizer = MatMulNBitsQuantizer(
        onnx.load(ingredients.from_base("model.onnx")),
        bits=int(options["bits"]),
        block_size=int(options["block_size"]),
        is_symmetric=bool(options["symmetric"]),
        accuracy_level=INT8_PRODUCTS,
        op_types_to_quantize=("MatMul",),
    )
    quantizer.process()
    onnx.save(quantizer.model.model, ingredients.out / "model.onnx")
