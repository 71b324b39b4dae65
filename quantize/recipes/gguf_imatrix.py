"""The importance matrix of a GGUF: how large each channel of a weight matrix's input is.

It is the mean square, channel by channel, on the calibration texts. llama.cpp keeps the channels
exact that matter for this data. Its own tool, llama-imatrix, collects the same figures from a
running GGUF; here they come from the PyTorch model, by hooks, under the names that the GGUF has.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from edgekit.edge.tasks import Tensors
from edgekit.job import Progress
from edgekit.quantize.huggingface import load_model
from edgekit.quantize.source import Source

Importance = dict[str, np.ndarray]  # GGUF tensor name: float32 [width of its rows]

# Heads whose names the name map does not have, as GGUF knows them.
HEAD = {"pooler.dense": "cls", "classifier": "cls.output"}


def importance(source: Source, calibration: list[Tensors], progress: Progress) -> Importance:
    """Run the source on the calibration inputs, one by one, each at its own length."""
    return mean_squares(load_model(Path(source.path), source.task), calibration, progress)


def mean_squares(model: Any, calibration: list[Tensors], progress: Progress) -> Importance:  # noqa: ANN401
    """Return the mean squares of the input of every linear layer that a GGUF has a place for.

    They are over all tokens of all texts.
    """
    import inspect

    known = set(inspect.signature(model.forward).parameters)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}

    def listener(name: str) -> Any:  # noqa: ANN401 - a hook
        def hook(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            rows = given[0].reshape(-1, given[0].shape[-1]).double()
            sums[name] = sums.get(name, torch.zeros(())) + rows.square().sum(0)
            counts[name] = counts.get(name, 0) + len(rows)

        return hook

    handles = [layer.register_forward_pre_hook(listener(name)) for name, layer in _layers(model)]
    try:
        with torch.inference_mode():
            for number, feeds in enumerate(calibration):
                progress("calibrating", number / len(calibration))
                model(
                    **{
                        name: torch.from_numpy(value)
                        for name, value in feeds.items()
                        if name in known
                    }
                )
    finally:
        for handle in handles:
            handle.remove()
    return {name: (total / counts[name]).float().numpy() for name, total in sums.items()}


def _layers(model: Any) -> Iterator[tuple[str, torch.nn.Module]]:  # noqa: ANN401
    """Yield every linear layer with the name of its GGUF tensor."""
    modern = model.config.model_type == "modernbert"
    architecture = gguf.MODEL_ARCH.MODERN_BERT if modern else gguf.MODEL_ARCH.BERT
    names = gguf.get_tensor_name_map(architecture, model.config.num_hidden_layers)
    for path, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            path = path.removeprefix(f"{model.base_model_prefix}.")  # noqa: PLW2901
            name = HEAD.get(path) or names.get_name(path)
            if name:
                yield f"{name}.weight", layer
