"""openvino-int8-weights, openvino-int4-...: weights in int8 or in int4 groups.

Activations stay in float. Options:

mode: one of nncf.CompressWeightsMode.
group_size: how many weights share a scale, for int4.
ratio: the share of weights in int4, the rest is int8.
awq, scale_estimation, gptq: NNCF's methods of those names.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import nncf
import openvino as ov
from nncf.quantization.advanced_parameters import (
    AdvancedCompressionParameters,
    GroupSizeFallbackMode,
)

from edgekit.errors import InputError
from edgekit.quantize.recipes import Ingredients
from edgekit.quantize.recipes.openvino_int8 import calibration


def make(ingredients: Ingredients) -> None:
    """Write model.xml and model.bin.

    Raises InputError where AWQ finds nothing in this model to work on.
    """
    options = dict(ingredients.options)
    mode = nncf.CompressWeightsMode[str(options.pop("mode"))]
    model = ov.convert_model(ingredients.from_base("model.onnx"))
    feeds = calibration(ingredients, model)
    with _nothing_skipped():
        compressed = nncf.compress_weights(
            model,
            mode=mode,
            dataset=nncf.Dataset(feeds) if feeds else None,
            subset_size=max(1, len(feeds)),
            # A width that the group's size doesn't divide gets a smaller group, or int8.
            advanced_parameters=AdvancedCompressionParameters(
                group_size_fallback_mode=GroupSizeFallbackMode.ADJUST
            ),
            **options,
        )
    ov.save_model(compressed, ingredients.out / "model.xml", compress_to_fp16=False)


class _Ear(logging.Handler):
    """A listener to NNCF's log, where alone it says that it leaves a method out."""

    skipped = False

    def emit(self, record: logging.LogRecord) -> None:
        self.skipped |= "will be skipped" in record.getMessage()


@contextmanager
def _nothing_skipped() -> Iterator[None]:
    ear, logger = _Ear(logging.INFO), logging.getLogger("nncf")
    level = logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
    if ear.skipped:
        raise InputError(
            "AWQ does not apply to this model: NNCF does it for products after a gate or a ReLU- or"
            " Swish-like activation, not after GELU; use openvino-int4-scale or openvino-int4-gptq"
        )
