"""Evaluations: what an evaluation file says is right for a task, and what answers are worth.

To add one: a module like `vectors.py` with `evaluation(task) -> Evaluation`, and its line in
EVALUATIONS. A task that answers with labels takes `labels`, which is there.
"""

import importlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from edgekit.edge.tasks import Task
from edgekit.nouns import Reliability, Standing
from edgekit.profiles.evaluations.label_fit import Fit
from edgekit.profiles.evaluations.label_rule import LabelRule
from edgekit.profiles.evaluations.metrics import Assessment, Metric
from edgekit.spec import LabelsAre

Answers = Sequence[np.ndarray]
# What a file says is right for one row: a label's index, the indices of several (or one for each
# word), or a number.
Truth = int | tuple[int, ...] | float

EVALUATIONS = {
    "text-classification": "edgekit.profiles.evaluations.labels",
    "token-classification": "edgekit.profiles.evaluations.entities",
    "feature-extraction": "edgekit.profiles.evaluations.vectors",
    "image-classification": "edgekit.profiles.evaluations.labels",
    "tabular-classification": "edgekit.profiles.evaluations.labels",
}


class Evaluation(Protocol):
    """How the answers of one task are judged.

    inputs_per_row: how many inputs a row of an evaluation file holds, each in a column of its own
        where it is more than one.
    classes: what a floor of recall or precision can be set for.
    scored_labels: the labels that have a probability in each answer; empty where none has.
    """

    @property
    def metric(self) -> Metric:
        """Return what turns answers into one number, and compares two models by it."""

    inputs_per_row: int
    classes: tuple[str, ...]
    scored_labels: tuple[str, ...]

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose the input columns of an evaluation file, none where it is not plain which."""

    def fit(self, cells: Iterable[object], wanted: LabelsAre | None = None) -> Fit:
        """Decide from the whole label column how it is read; raises InputError over two ways.

        wanted: what the user says that its labels are.
        """

    def truth(self, value: object, given: Any, rule: LabelRule | None = None) -> Truth:  # noqa: ANN401 - the task's own input
        """Read what the label column of a row says of the input `given`; raises InputError.

        rule: of the whole column; without it, this value is all of it.
        """

    def assess(self, answers: Answers, truths: Sequence[Truth]) -> Assessment:
        """Judge the answers to an evaluation set."""

    def probabilities(self, answers: Answers) -> np.ndarray:
        """Compute float64 [inputs, scored labels]."""

    def standing(self, answers: Answers, truths: Sequence[Truth], confidence: float) -> Standing:
        """Hold the answers against guessing."""

    def reliability(self, answers: Answers, truths: Sequence[Truth]) -> Reliability | None:
        """Say how far the probabilities can be trusted; None where there are none."""


class EvaluationModule(Protocol):
    """What each module of the table offers."""

    def evaluation(self, task: Any) -> Evaluation:  # noqa: ANN401 - each takes tasks of its own kind
        """Make the evaluation of a task's answers."""


def evaluation_of(task: Task[Any]) -> Evaluation:
    """Return the evaluation of a task's answers."""
    module = cast(EvaluationModule, importlib.import_module(EVALUATIONS[task.name]))
    return module.evaluation(task)


if TYPE_CHECKING:
    from edgekit.profiles.evaluations import entities, labels, vectors

    _CHECKED: tuple[EvaluationModule, ...] = (entities, labels, vectors)
