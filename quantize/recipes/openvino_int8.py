"""openvino-int8: weights and activations in int8 by NNCF's post-training quantization.

It is calibrated on the user's data. With the option `npu` it is symmetric, and takes one input of
the longest length at a time, as the NPU's compiler wants it.
"""

import msgspec
import nncf
import numpy as np
import openvino as ov

from edgekit.edge.tasks import Tensors
from edgekit.errors import InputError
from edgekit.quantize.recipes import Ingredients, tensors_for


def make(ingredients: Ingredients) -> None:
    """Write model.xml and model.bin.

    A model of texts gets NNCF's transformer settings (attention stays intact).
    """
    for_npu = bool(ingredients.options.get("npu"))
    model = ov.convert_model(ingredients.from_base("model.onnx"))
    feeds = calibration(ingredients, model)
    if for_npu:
        length = max_length(ingredients)
        model.reshape({port.get_any_name(): [1, length] for port in model.inputs})
        feeds = [_padded(item, length) for item in feeds]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(feeds),
        subset_size=len(feeds),
        model_type=model_type(ingredients),
        preset=nncf.QuantizationPreset.PERFORMANCE if for_npu else nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.NPU if for_npu else nncf.TargetDevice.ANY,
    )
    ov.save_model(quantized, ingredients.out / "model.xml", compress_to_fp16=False)


def calibration(ingredients: Ingredients, model: ov.Model) -> list[Tensors]:
    """Return the calibration sample with only what the model takes."""
    names = [port.get_any_name() for port in model.inputs]
    return [tensors_for(names, feeds) for feeds in ingredients.calibration]


def model_type(ingredients: Ingredients) -> nncf.ModelType | None:
    """Whether NNCF shall treat the model as a transformer."""
    return nncf.ModelType.TRANSFORMER if ingredients.is_text else None


def max_length(ingredients: Ingredients) -> int:
    """Return the longest input in tokens; raises InputError for a task that has none."""
    path = ingredients.from_base("task.json")
    length = msgspec.json.decode(path.read_bytes()).get("max_length")
    if not isinstance(length, int):
        raise InputError(f"{path}: no max_length; static shapes need the longest input in tokens")
    return length


def _padded(feeds: Tensors, length: int) -> Tensors:
    """Pad an input to [1, length]; what the mask hides may hold anything."""
    return {
        name: np.pad(value, ((0, 0), (0, length - value.shape[1]))) for name, value in feeds.items()
    }
