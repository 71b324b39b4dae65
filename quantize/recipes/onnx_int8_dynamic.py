"""onnx-int8-dynamic: int8 weights; activations are quantized at run time.

Each tensor gets its own range. The option `fused` joins each attention into one node first. Which
is faster depends on CPU and batch, so both are recipes.
"""

import tempfile
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from edgekit.quantize.recipes import Ingredients
from edgekit.quantize.recipes.onnx_graph import (
    EXTRA_OPTIONS,
    MATRIX_PRODUCTS,
    fuse,
    needs_reduced_range,
    preprocess,
)

# Embeddings are half of a small encoder: in int8 they are looked up as fast.
TEXT_OPERATORS = [*MATRIX_PRODUCTS, "Attention", "Gather"]


def make(ingredients: Ingredients) -> None:
    """Write model.onnx: matrix products in int8, and the embeddings of texts."""
    model = ingredients.from_base("model.onnx")
    with tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent) as folder:
        fused, prepared = Path(folder) / "fused.onnx", Path(folder) / "prepared.onnx"
        joined = bool(ingredients.options.get("fused")) and fuse(model, fused)
        preprocess(fused if joined else model, prepared)
        quantize_dynamic(
            prepared,
            ingredients.out / "model.onnx",
            op_types_to_quantize=TEXT_OPERATORS if ingredients.is_text else MATRIX_PRODUCTS,
            per_channel=True,
            reduce_range=needs_reduced_range(ingredients.isa),
            weight_type=QuantType.QInt8,
            extra_options=EXTRA_OPTIONS,
        )
