"""openvino-int8: weights and activations in int8 by NNCF's post-training quantization, calibrated on the user's data."""

import nncf
import openvino as ov

from edgekit.quantize.recipes import Ingredients, tensors_for


def make(ingredients: Ingredients) -> None:
    """Write model.xml and model.bin. A model of texts gets NNCF's transformer settings (attention stays intact)."""
    model = ov.convert_model(ingredients.from_base("model.onnx"))
    names = [port.get_any_name() for port in model.inputs]
    is_text = ingredients.source.task.startswith("text")
    quantized = nncf.quantize(
        model,
        nncf.Dataset([tensors_for(names, feeds) for feeds in ingredients.calibration]),
        subset_size=len(ingredients.calibration),
        model_type=nncf.ModelType.TRANSFORMER if is_text else None,
        preset=nncf.QuantizationPreset.MIXED,
    )
    ov.save_model(quantized, ingredients.out / "model.xml", compress_to_fp16=False)
