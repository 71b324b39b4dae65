"""onnx-source and gguf-source: a model that arrives in an engine's own format, taken as it is."""

import shutil
from pathlib import Path

from edgekit.errors import InputError
from edgekit.quantize.recipes import Ingredients


def make(ingredients: Ingredients) -> None:
    """Copy the model's file."""
    name = f"model.{ingredients.options['ending']}"
    path = Path(ingredients.source.path) / name
    if not path.is_file():
        raise InputError(f"{ingredients.source.path}: has no {name} to take as it is")
    shutil.copyfile(path, ingredients.out / name)
