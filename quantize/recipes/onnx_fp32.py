"""onnx-fp32: the checkpoint as an ONNX graph, exported by optimum.

An ONNX source is taken as it is. An embedder's pooling is appended to the graph.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from edgekit.quantize.huggingface import load_model, load_tokenizer, pooling_of
from edgekit.quantize.recipes import Ingredients
from edgekit.quantize.recipes.onnx_pooling import add_pooling
from edgekit.quantize.sources import source_task


def make(ingredients: Ingredients) -> None:
    """Write model.onnx."""
    source, task = Path(ingredients.source.path), ingredients.source.task
    target = ingredients.out / "model.onnx"
    if ingredients.source.kind == "onnx":
        shutil.copyfile(source / "model.onnx", target)
        return

    from optimum.exporters.onnx import onnx_export_from_model

    temporary = tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent)
    with temporary as folder, _without_branches():
        onnx_export_from_model(
            load_model(source, task),
            Path(folder),
            task=task,
            preprocessors=[load_tokenizer(source, task)],
            do_validation=False,  # the gate does it, on the user's data
        )
        shutil.copyfile(Path(folder) / "model.onnx", target)
    if source_task(task).pools:
        model = onnx.load(target)
        add_pooling(model, pooling_of(source, task))
        onnx.save(model, target)


@contextmanager
def _without_branches() -> Iterator[None]:
    """Leave a branch out of what is exported that is never taken, and that OpenVINO can't load.

    DeBERTa builds its positions anew where queries and keys differ in number: not in an encoder.
    """
    from transformers.models.deberta_v2 import modeling_deberta_v2 as deberta

    before = deberta.build_rpos
    deberta.build_rpos = lambda query, key, positions, *_: positions
    try:
        yield
    finally:
        deberta.build_rpos = before
