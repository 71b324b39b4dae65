"""Answers of a model: written to a file and read back, and matched with another's labels.

They are arrays of any shape whose last axes are equal.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.errors import InputError


def write_answers(path: Path, answers: Sequence[np.ndarray]) -> None:
    """Write all rows in one array, and how many belong to each answer."""
    width = answers[0].shape[-1]
    counts = [1 if answer.ndim == 1 else len(answer) for answer in answers]
    rows = np.concatenate([answer.reshape(-1, width) for answer in answers])
    np.savez(path, rows=rows, counts=np.array(counts), is_flat=np.array(answers[0].ndim == 1))


def read_answers(path: Path) -> list[np.ndarray]:
    """Read the answers that `write_answers` wrote."""
    with np.load(path) as file:
        rows, counts, is_flat = file["rows"], file["counts"], bool(file["is_flat"])
    if is_flat:
        return list(rows)
    return np.split(rows, np.cumsum(counts)[:-1])


def label_order(own: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Find the places of the wanted labels among a model's own, None if they are the same.

    An answer means what its label says. Raises InputError where a label has no counterpart.
    """
    if tuple(own) == tuple(wanted):
        return None
    if sorted(own) != sorted(wanted):
        odd = sorted(set(own) ^ set(wanted))[:5]
        raise InputError(
            f"the labels are not the reference's: only one of the two has {', '.join(odd)}"
        )
    return [list(own).index(label) for label in wanted]
