"""openvino-int8-buckets: openvino-int8 at a few fixed lengths, so that OpenVINO plans each ahead.

The lengths double from 16 tokens to the model's maximum; the engine compiles each when the first
text needs it.
"""

import openvino as ov

from edgekit.quantize.recipes import Ingredients
from edgekit.quantize.recipes.openvino_int8 import max_length

SHORTEST = 16  # tokens


def make(ingredients: Ingredients) -> None:
    """Write model.xml, with the lengths in its runtime information, and model.bin."""
    model = ov.Core().read_model(ingredients.from_base("model.xml"))
    lengths = bucket_lengths(max_length(ingredients))
    model.set_rt_info(",".join(map(str, lengths)), ["edgekit", "buckets"])
    ov.save_model(model, ingredients.out / "model.xml", compress_to_fp16=False)


def bucket_lengths(longest: int) -> list[int]:
    """Return the lengths of the buckets in tokens, ascending.

    The last is `longest`, beyond which some models have no position to look up.
    """
    lengths = []
    length = SHORTEST
    while length < longest:
        lengths.append(length)
        length *= 2
    return [*lengths, longest]
