"""The reference must be better than guessing: what is measured against a wrong one says nothing.

A wafer classifier with its label names in another order was built, accepted and could have been
shipped with an accuracy of 0: every variant agreed with the reference.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.edge.tasks import Task
from edgekit.errors import InputError
from edgekit.nouns import Limits, Standing
from edgekit.profiles.answers import read_answers
from edgekit.profiles.data import Dataset
from edgekit.profiles.evaluations import evaluation_of
from edgekit.profiles.report.reference import in_figures


def check_reference(
    folder: Path, task: Task[Any], data: Dataset, limits: Limits, warn: Callable[[str], None]
) -> Standing:
    """Hold the reference's answers against guessing, and tell what is odd about them.

    folder: with the answers to `data`.
    warn: is told each oddity.

    Raises InputError where they are no better, unless the limits allow that.
    """
    answers = read_answers(folder / "answers.npz")
    standing = evaluation_of(task).standing(answers, data.truths, limits.confidence)
    if standing.is_weak and not limits.allow_weak_reference:
        raise InputError(f"{data.path}: {_refusal(standing)}")
    if standing.is_weak:
        warn(f"the reference is no better than guessing, as the spec allows: {_says(standing)}")
    for text in standing.warnings:
        warn(f"the reference on {data.path.name}: {text}")
    return standing


def _refusal(standing: Standing) -> str:
    hints = "".join(f"; {text}" for text in standing.warnings)
    return (
        f"the reference is no better than guessing: {_says(standing)}{hints}; if that is meant, set"
        " limits.allow_weak_reference = true"
    )


def _says(standing: Standing) -> str:
    figures = f"{in_figures(standing)}, {standing.samples} rows"
    return f"{figures}; it {standing.confusion}" if standing.confusion else figures
