"""onnx-int8-smoothquant: int8 weights and activations, whose outliers move into the weights first.

The outliers are the activations' (SmoothQuant); all else is as in onnx-int8-static.
"""

import nncf
import onnx
from nncf.onnx.quantization.backend_parameters import BackendParameters
from nncf.quantization.advanced_parameters import AdvancedSmoothQuantParameters, OverflowFix

from edgekit.quantize.recipes import Ingredients, tensors_for
from edgekit.quantize.recipes.onnx_graph import input_names, needs_reduced_range


def make(ingredients: Ingredients) -> None:
    """Write model.onnx (QDQ) by NNCF.

    The option `alpha` is how much of an outlier goes over to the weights, 0 to 1.
    """
    path = ingredients.from_base("model.onnx")
    names = input_names(path)
    quantized = nncf.quantize(
        onnx.load(path),
        nncf.Dataset([tensors_for(names, feeds) for feeds in ingredients.calibration]),
        subset_size=len(ingredients.calibration),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE
            if needs_reduced_range(ingredients.isa)
            else OverflowFix.DISABLE,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(
                matmul=float(ingredients.options["alpha"])
            ),
            backend_params={BackendParameters.COMPRESS_WEIGHTS: True},
        ),
    )
    onnx.save(quantized, ingredients.out / "model.onnx")
