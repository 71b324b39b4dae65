"""openvino-fp32, openvino-bf16 and openvino-fp16: the graph as OpenVINO IR.

What it computes in is the engine's setting.
"""

import openvino as ov

from edgekit.quantize.recipes import Ingredients


def make(ingredients: Ingredients) -> None:
    """Write model.xml and model.bin.

    The option `fp16` halves the weights (for bf16 they stay whole: it keeps larger ones).
    """
    model = ov.convert_model(ingredients.from_base("model.onnx"))
    ov.save_model(
        model, ingredients.out / "model.xml", compress_to_fp16=bool(ingredients.options.get("fp16"))
    )
