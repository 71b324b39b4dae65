"""Placeholder."""

from pathlib import Path


def contents(folder: Path) -> dict[str, int]:
    """Bytes."""
    return {}
