"""onnx-fp32: the checkpoint as an ONNX graph, exported by optimum; an ONNX source is taken as it is."""

import shutil
import tempfile
from pathlib import Path

from edgekit.quantize.recipes import Ingredients


def make(ingredients: Ingredients) -> None:
    """Write model.onnx."""
    source = Path(ingredients.source.path)
    if ingredients.source.kind == "onnx":
        shutil.copyfile(source / "model.onnx", ingredients.out / "model.onnx")
        return

    import torch
    from optimum.exporters.onnx import onnx_export_from_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        source, dtype=torch.float32, local_files_only=True, use_safetensors=True, attn_implementation="eager"
    )
    with tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent) as folder:
        onnx_export_from_model(
            model,
            Path(folder),
            task=ingredients.source.task,
            preprocessors=[AutoTokenizer.from_pretrained(source, local_files_only=True)],
            do_validation=False,  # the gate does it, on the user's data
        )
        shutil.copyfile(Path(folder) / "model.onnx", ingredients.out / "model.onnx")
