"""gguf-q8_0 and gguf-q4_k_m: llama.cpp quantizes the f16 file, in this process."""

import ctypes
import os

import llama_cpp

from edgekit.quantize.recipes import Ingredients


def make(ingredients: Ingredients) -> None:
    """Write model.gguf. Rows whose width is no multiple of 256 fall back to another type, as llama.cpp decides."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{ingredients.options['file_type']}")
    params.nthread = os.cpu_count() or 1
    source, target = ingredients.from_base("model.gguf"), ingredients.out / "model.gguf"
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if code:
        raise RuntimeError(f"llama_model_quantize returned {code}")
