"""What config.json of a Hugging Face folder says, read without any of its libraries."""

import json
from pathlib import Path
from typing import Any

from edgekit.errors import InputError


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json as a mapping; raises InputError."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return config


def is_multi_label(folder: Path) -> bool:
    """Tell whether any number of labels may apply to a text, as config.json says."""
    return read_config(folder).get("problem_type") == "multi_label_classification"


def config_labels(folder: Path) -> list[str]:
    """Read the labels in the order of the model's outputs; raises InputError."""
    path, config = folder / "config.json", read_config(folder)
    table = config.get("id2label")
    if not isinstance(table, dict):
        count = config.get("num_labels", 2)
        return [f"LABEL_{index}" for index in range(count if isinstance(count, int) else 2)]
    try:
        labels = {int(key): str(value) for key, value in table.items()}
    except ValueError:
        raise InputError(f"{path}: id2label must have the outputs' numbers as its keys") from None
    if sorted(labels) != list(range(len(labels))) or len(set(labels.values())) != len(labels):
        raise InputError(
            f"{path}: id2label must number distinct labels from 0 to {len(labels) - 1}, each once"
        )
    return [labels[index] for index in range(len(labels))]
