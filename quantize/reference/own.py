"""How edgekit itself reads a source: the answers behind its own preprocessing.

They are what every variant is built on, and are compared with the reference before that.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.edge.engines import load_engine
from edgekit.edge.model.tensor_model import Model, checked
from edgekit.edge.tasks import Task, Tensors, run_in_parts
from edgekit.nouns import Setting
from edgekit.quantize.huggingface import load_model, pooling_of
from edgekit.quantize.pooling import Pooling, pooled
from edgekit.quantize.source import Source
from edgekit.quantize.sources import source_task

OWN_ENGINES = {"onnx": "onnxruntime", "gguf": "llama.cpp"}
REFERENCE_BATCH = 32  # inputs of mixed lengths together, as they come in the file
Answer = Callable[[Sequence[Any]], list[np.ndarray]]


def own_answers(source: Source, task: Task[Any]) -> Answer:
    """Return what turns inputs into answers (see Task) behind edgekit's own preprocessing."""
    folder = Path(source.path)
    if source.kind != "huggingface":
        plain = Setting(options={"graph_optimization": "off"}, batch_size=REFERENCE_BATCH)
        return Model(task, load_engine(OWN_ENGINES[source.kind]).load(folder, plain), plain).answers
    pooling = pooling_of(folder, source.task) if source_task(source.task).pools else None
    return torch_answers(load_model(folder, source.task), task, pooling)


def torch_answers(
    model: Any,  # noqa: ANN401 - a torch module
    task: Task[Any],
    pooling: Pooling | None,
) -> Answer:
    """Return what turns inputs into the answers of a PyTorch model.

    pooling: how its hidden states are pooled; None where it has a head.
    """
    import torch

    names = list(inspect.signature(model.forward).parameters)

    def run(feeds: Tensors) -> Tensors:
        with torch.inference_mode():
            output = model(
                **{name: torch.from_numpy(feeds[name]) for name in names if name in feeds}
            )
        if pooling is None:
            return {"logits": output.logits.numpy()}
        vectors = pooled(output.last_hidden_state.numpy(), feeds["attention_mask"], pooling)
        return {"sentence_embedding": vectors}

    def answer(inputs: Sequence[Any]) -> list[np.ndarray]:
        feeds = task.encode(inputs)
        return checked(task.answers(run_in_parts(run, feeds, REFERENCE_BATCH), feeds))

    return answer


class LlamaReference:
    """A GGUF in llama.cpp behind what task.json says: there is no other library; see Reference."""

    words = "llama.cpp, behind task.json alone (there is no library to compare its reading with)"
    labels: tuple[str, ...] | None = None
    truncation_side = "right"
    grey_level = 0.0

    def __init__(self, source: Source, task: Task[Any]) -> None:
        self._own = own_answers(source, task)

    def tensors(self, inputs: Sequence[Any]) -> Tensors | None:
        """Return nothing: no other library reads these inputs."""
        return None

    def is_cut(self, inputs: Sequence[Any]) -> list[bool]:
        """Say of no input that it was cut."""
        return [False] * len(inputs)

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer each input."""
        return self._own(inputs)
