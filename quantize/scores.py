"""Scores: whether a model answers logits or probabilities, by what it said to made inputs.

A softmax over probabilities would be wrong and look right: it changes no label, only how sure the
answer looks.
"""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from edgekit.edge.tasks import Task
from edgekit.edge.tasks.classification import SINGLE, Scores
from edgekit.errors import InputError

SLACK = 0.02  # what probabilities in 8 or 16 bits, and their sum, may be off
TO_ONE = "numbers from 0 to 1 that add up to 1, as a softmax makes them"
APART = "numbers from 0 to 1 that don't add up to 1"
BEYOND = "numbers beyond 0 and 1, as logits are"


class Found(NamedTuple):
    """What the numbers may be.

    fitting: the values of the key `scores` that fit, the likeliest first.
    what: the numbers in words.
    is_plain: the first one is taken if task.json says nothing.
    """

    fitting: tuple[Scores, ...]
    what: str
    is_plain: bool = True


def find_scores(values: np.ndarray, step: str, task: Task[Any], path: Path) -> Scores:
    """Return what a model's numbers are; raises InputError where task.json says something else.

    values: the model's answers to made inputs, float32 [rows, labels], or [rows] and [rows, 1].
    step: the last operator of its graph; "" where that is not known.
    path: task.json.
    """
    stated = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]).get("scores")
    key, said = "scores", stated
    if stated is None and task.output == "probabilities":
        key, said = "output", "probabilities"
    found = _look(values, step, task, path)
    if said is not None and said not in found.fitting:
        right = " or ".join(f'"{name}"' for name in found.fitting)
        raise InputError(
            f'{path}: {key}: says "{said}", and the model answers {found.what}; what fits is'
            f' "scores": {right}'
        )
    if said is None and not found.is_plain:
        raise InputError(
            f'{path}: scores: the model answers {found.what}: say "logits" or "probabilities",'
            " whichever they are"
        )
    return said or found.fitting[0]


def _look(values: np.ndarray, step: str, task: Task[Any], path: Path) -> Found:
    rows = values.reshape(len(values), -1)
    rows = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    is_share = bool(len(rows)) and rows.min() >= -SLACK and rows.max() <= 1 + SLACK
    adds_up = is_share and rows.shape[1] > 1 and np.abs(rows.sum(axis=1) - 1).max() <= SLACK
    if getattr(task, "scores", "") in SINGLE:
        fitting: tuple[Scores, ...] = SINGLE if step != "Sigmoid" else ("probability",)
        return Found(fitting, APART) if is_share else Found(("logit",), BEYOND)
    if not getattr(task, "is_exclusive", True):
        return _of_many(step, path, is_share=is_share, adds_up=adds_up)
    if adds_up:
        return Found(("probabilities",), TO_ONE)
    if is_share and step == "Sigmoid":
        raise InputError(
            f"{path}: the model answers a probability for each label by itself (Sigmoid), and"
            f" {task.name} says one of all labels: end the graph in logits or Softmax, or set"
            " multi_label = true, for texts"
        )
    return Found(("logits",), APART, is_plain=False) if is_share else Found(("logits",), BEYOND)


def _of_many(step: str, path: Path, *, is_share: bool, adds_up: bool) -> Found:
    """Judge the numbers of a model that says any number of labels."""
    if step in ("Softmax", "LogSoftmax", "Log") or (adds_up and step != "Sigmoid"):
        raise InputError(
            f"{path}: multi_label: the model's labels share one probability (Softmax, or the log of"
            " it), so only one of them is right: leave multi_label out, or end the graph in logits"
            " or Sigmoid"
        )
    if not is_share:
        return Found(("logits",), BEYOND)
    if step == "Sigmoid":
        return Found(("probabilities",), APART)
    return Found(("probabilities", "logits"), "numbers from 0 to 1", is_plain=False)
