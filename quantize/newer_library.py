"""Folders that a newer library wrote than the one that is installed to read them."""

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from edgekit import strict_json
from edgekit.quantize.folder.newer import is_translated


def needs_reference_answers(folder: Path) -> str:
    """Say why the installed library may read a Hugging Face folder wrongly; "" where it may not.

    A newer major version of its library wrote it, and what only that reads is not translated.
    """
    for name, package, written in _written(folder):
        installed = _installed(package)
        if package == "transformers" and is_translated(folder):
            continue
        if installed and _major(written) > _major(installed):
            return f"{folder / name} was written by {package} {written}, and {installed} is here"
    return ""


def _written(folder: Path) -> list[tuple[str, str, str]]:
    """Return which file says that which version of which package wrote it."""
    found = [
        ("config.json", "transformers", _read(folder / "config.json").get("transformers_version"))
    ]
    name = "config_sentence_transformers.json"
    by = _read(folder / name).get("__version__")
    if isinstance(by, dict):
        found += [
            (name, "sentence-transformers", by.get("sentence_transformers")),
            (name, "transformers", by.get("transformers")),
        ]
    return [(file, package, text) for file, package, text in found if isinstance(text, str)]


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none: others say what is wrong with it."""
    try:
        found = strict_json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _major(version: str) -> int:
    digits = re.match(r"\d{1,6}", version)
    return int(digits[0]) if digits else 0
