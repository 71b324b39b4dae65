"""What config.json of a Hugging Face folder says; all but `library_config` needs no library."""

import json
import re
from pathlib import Path
from typing import Any

from edgekit.errors import InputError

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half of a pair, or alone


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json as a mapping; raises InputError."""
    return read_object(folder / "config.json")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises InputError."""
    found = read_json_file(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return found


def read_json_file(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON file; raises InputError."""
    try:
        text = path.read_text("utf-8")
        found = json.loads(text)
        if SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, and the files beside it ask for it") from None
    except UnicodeEncodeError:
        raise InputError(f"{path}: holds a lone surrogate, which is no text") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    return found


def library_config(folder: Path) -> Any:  # noqa: ANN401 - of transformers
    """Read config.json as transformers does, with the model's own defaults for what it leaves out.

    What only changes what else the library hands out, or how it splits its work, is set as edgekit
    needs it.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    config.return_dict, config.torchscript = True, False
    config.output_hidden_states, config.output_attentions = False, False
    config.chunk_size_feed_forward = 0
    # ModernBERT would compile itself, which no exporter follows
    if hasattr(config, "reference_compile"):
        config.reference_compile = False
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
    _check_twin(path, labels, config.get("label2id"))
    return [labels[index] for index in range(len(labels))]


def _check_twin(path: Path, labels: dict[int, str], twin: object) -> None:
    """Refuse a label2id that gives the same labels other numbers: one of the two is wrong.

    One with other labels is passed over, as the library does: many folders keep LABEL_0 there.
    """
    if not isinstance(twin, dict) or set(twin) != set(labels.values()):
        return
    other = next((name for index, name in labels.items() if str(twin[name]) != str(index)), None)
    if other is not None:
        raise InputError(
            f"{path}: id2label and label2id give {other!r} different numbers; make them agree on"
            " what each output means"
        )
