"""onnx-int8-dynamic: int8 weights; activations are quantized at run time, each tensor by its own range."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgekit.quantize.recipes import Ingredients

MATRIX_PRODUCTS = ["MatMul", "Gemm"]
# What shape inference can't type (results of scikit-learn's operators) is float.
EXTRA_OPTIONS = {"DefaultTensorType": onnx.TensorProto.FLOAT}


def make(ingredients: Ingredients) -> None:
    """Write model.onnx. The engine fuses the attention after it; only the matrix products are quantized."""
    with tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        preprocess(ingredients.from_base("model.onnx"), prepared)
        quantize_dynamic(
            prepared,
            ingredients.out / "model.onnx",
            op_types_to_quantize=MATRIX_PRODUCTS,
            per_channel=True,
            reduce_range=needs_reduced_range(ingredients.isa),
            weight_type=QuantType.QInt8,
            extra_options=EXTRA_OPTIONS,
        )


def preprocess(model: Path, prepared: Path) -> None:
    """Shape inference and constant folding, without which nodes are missed."""
    try:
        quant_pre_process(model, prepared, skip_symbolic_shape=False)
    except Exception:  # noqa: BLE001 - symbolic inference gives up on some graphs with a bare Exception
        quant_pre_process(model, prepared, skip_symbolic_shape=True)


def needs_reduced_range(isa: tuple[str, ...]) -> bool:
    """U8S8 products overflow 16 bits on AVX2 and AVX-512 without VNNI: 7-bit weights don't."""
    is_x86 = "avx2" in isa
    return is_x86 and not {"avx512_vnni", "avx_vnni", "amx_int8"} & set(isa)
