"""Models on the null engine: three numbers in, one of three labels out, made of two small files."""

import json
from pathlib import Path
from typing import Any

from edgekit.edge.model.tensor_model import Model, open_model
from edgekit.nouns import Setting

LABELS = ["sound", "worn", "leaking"]
FEATURES = ["vibration", "temperature", "pressure"]


def write(folder: Path, **description: Any) -> Path:  # noqa: ANN401 - fields of null.json
    """Write a model's files; description: of the null engine (see edgekit.edge.engines.null)."""
    folder.mkdir(parents=True, exist_ok=True)
    task = {
        "task": "tabular-classification",
        "labels": LABELS,
        "features": FEATURES,
        "output": "logits",
    }
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "null.json").write_text(json.dumps({"width": len(LABELS), **description}))
    return folder


def model(folder: Path, *, streams: int = 1, batch_size: int = 1, **description: Any) -> Model:  # noqa: ANN401
    """Return an open model."""
    write(folder, **description)
    return open_model(folder, "null", Setting(streams=streams, batch_size=batch_size))
