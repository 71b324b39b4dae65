"""What the ONNX recipes share: shape inference, fusion, and the limits of int8 on a CPU.

The limits are what a CPU's int8 instructions ask of the numbers.
"""

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from edgekit.edge.tasks import Tensors
from edgekit.quantize.recipes import tensors_for

MATRIX_PRODUCTS = ["MatMul", "Gemm"]
# What shape inference can't type (results of scikit-learn's operators) is float.
EXTRA_OPTIONS = {"DefaultTensorType": onnx.TensorProto.FLOAT}
SAME = 1e-4  # largest difference that reordered sums may make, as a share of the largest output

log = logging.getLogger(__name__)


def input_names(model: Path) -> list[str]:
    """Return the inputs of a graph; weights that are listed among them are left out."""
    graph = onnx.load(model, load_external_data=False).graph
    weights = {item.name for item in graph.initializer}
    return [item.name for item in graph.input if item.name not in weights]


def preprocess(model: Path, prepared: Path) -> None:
    """Infer shapes and fold constants, without which nodes are missed."""
    try:
        quant_pre_process(model, prepared, skip_symbolic_shape=False)
    except Exception:  # noqa: BLE001 - symbolic inference gives up on some graphs with a bare Exception
        quant_pre_process(model, prepared, skip_symbolic_shape=True)


def fuse(model: Path, fused: Path) -> bool:
    """Join the nodes of attention, GELU and normalization into one each.

    Returns False where that isn't to be had. What is fused is run beside what is not, with a padded
    text among full ones: fusions are matched by patterns, and a wrong match would go unnoticed
    until the gate.
    """
    names = input_names(model)
    if "input_ids" not in names:
        return False
    try:
        options = FusionOptions("bert")
        # Quantizing has no counterpart of it, and its embeddings would stay in fp32.
        options.enable_embed_layer_norm = False
        optimize_model(
            str(model),
            "bert",
            num_heads=0,
            hidden_size=0,
            optimization_options=options,
            opt_level=0,
        ).save_model_to_file(str(fused))
        probe = tensors_for(names, _probe())
        return all(
            np.allclose(before, after, rtol=0, atol=SAME * float(np.abs(before).max()))
            for before, after in zip(_run(model, probe), _run(fused, probe), strict=True)
        )
    except Exception as error:  # noqa: BLE001 - a graph that the optimizer doesn't know: it stays as it is
        log.info("not fused: %s", error)
        return False


def _probe() -> Tensors:
    """Make two texts of 11 tokens and one of 6.

    The smallest ids are in every vocabulary.
    """
    ids = np.random.default_rng(0).integers(0, 20, size=(3, 11))
    mask = np.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _run(model: Path, feeds: Tensors) -> list[np.ndarray]:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, feeds)
    return outputs


def needs_reduced_range(isa: tuple[str, ...]) -> bool:
    """Tell whether int8 weights need a reduced range of 7 bits.

    U8S8 products overflow 16 bits on AVX2 and AVX-512 without VNNI; with 7-bit weights they don't.
    """
    is_x86 = "avx2" in isa
    return is_x86 and not {"avx512_vnni", "avx_vnni", "amx_int8"} & set(isa)


def is_arm(isa: tuple[str, ...]) -> bool:
    """Tell whether the CPU is arm64, whose int8 products take signed numbers on both sides."""
    return "asimd" in isa
