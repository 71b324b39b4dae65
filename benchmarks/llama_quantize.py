"""What the command llama-quantize does; the Python package brings only the function behind it.

python benchmarks/llama_quantize.py FROM.gguf TO.gguf Q8_0
"""

import ctypes
import os
import sys

import llama_cpp


def main(source: str, target: str, file_type: str) -> None:
    """Quantize with the defaults; raises RuntimeError."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{file_type}")
    if code := llama_cpp.llama_model_quantize(
        os.fsencode(source), os.fsencode(target), ctypes.byref(params)
    ):
        raise RuntimeError(f"llama_model_quantize returned {code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
