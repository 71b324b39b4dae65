"""gguf-q8_0, gguf-q4_k_m and the like: llama.cpp quantizes the f16 file, in this process.

The `-imatrix` recipes give it an importance matrix from the calibration texts.
"""

import ctypes
import os
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

from edgekit.edge.engines.llamacpp import start_backend
from edgekit.errors import MissingPackage
from edgekit.quantize.recipes import Ingredients

# the first that we know to take an importance matrix as plain arrays
LEAST = "llama-cpp-python>=0.3.36"


def make(ingredients: Ingredients) -> None:
    """Write model.gguf, quantized to the type of the option `file_type`.

    Rows whose width is no multiple of 256 fall back to another type, as llama.cpp decides.
    """
    source, target = ingredients.from_base("model.gguf"), ingredients.out / "model.gguf"
    weights = None
    if ingredients.options.get("imatrix"):
        from edgekit.quantize.recipes.gguf_imatrix import importance

        weights = importance(ingredients.source, ingredients.calibration, ingredients.progress)
        _check_complete(source, weights)
    ingredients.progress("quantizing", 0)
    quantize(source, target, str(ingredients.options["file_type"]), weights)


def quantize(
    source: Path, target: Path, file_type: str, weights: dict[str, np.ndarray] | None = None
) -> None:
    """Quantize one GGUF file into another.

    weights: the importance of each tensor's columns, float32, by the tensor's name.
    """
    start_backend()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{file_type}")
    params.nthread = os.cpu_count() or 1
    entries = _entries(weights) if weights else None
    if entries is not None:
        params.imatrix = entries
    code = llama_cpp.llama_model_quantize(
        os.fsencode(source), os.fsencode(target), ctypes.byref(params)
    )
    if code:
        raise RuntimeError(f"llama_model_quantize returned {code}")


def _entries(weights: dict[str, np.ndarray]) -> "ctypes.Array[ctypes.Structure]":
    """Return the importance as llama.cpp reads it: an array that ends with an entry without a name.

    The array points into `weights`.
    """
    if not hasattr(llama_cpp, "llama_model_imatrix_data"):
        raise MissingPackage(
            f"an importance matrix needs a newer version; get it with: pip install '{LEAST}'"
        )
    entry = llama_cpp.llama_model_imatrix_data
    pointer = ctypes.POINTER(ctypes.c_float)
    filled = [
        entry(name.encode(), value.ctypes.data_as(pointer), value.size)
        for name, value in weights.items()
    ]
    entries: ctypes.Array[ctypes.Structure] = (entry * (len(filled) + 1))(
        *filled, entry(None, None, 0)
    )
    return entries


def _check_complete(path: Path, weights: dict[str, np.ndarray]) -> None:
    """Check that every matrix has its importance; raises RuntimeError.

    A matrix that was left out would be quantized without, and nobody would notice.
    """
    for tensor in gguf.GGUFReader(path).tensors:
        is_matrix = (
            tensor.tensor_type.name in ("F16", "BF16") and tensor.name != "token_embd.weight"
        )
        if is_matrix and (
            tensor.name not in weights or weights[tensor.name].size != int(tensor.shape[0])
        ):
            raise RuntimeError(f"no importance was collected for {tensor.name}")
