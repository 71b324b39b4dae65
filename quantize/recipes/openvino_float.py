"""openvino-fp32 and openvino-bf16: the graph as OpenVINO IR. What it computes in is a setting of the engine."""

import openvino as ov

from edgekit.quantize.recipes import Ingredients


def make(ingredients: Ingredients) -> None:
    """Write model.xml and model.bin, the weights in fp32: fp16 would lose what bf16 keeps of large ones."""
    model = ov.convert_model(ingredients.from_base("model.onnx"))
    ov.save_model(model, ingredients.out / "model.xml", compress_to_fp16=False)
