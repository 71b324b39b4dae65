"""Evaluation of tasks that answer with vectors: pairs of inputs, and a number for how alike."""

from collections.abc import Iterable, Sequence

import numpy as np

from edgekit.edge.tasks import RowFormat, as_number
from edgekit.errors import InputError
from edgekit.nouns import Standing
from edgekit.profiles.evaluations import Answers, Evaluation, Truth
from edgekit.profiles.evaluations.label_fit import Fit
from edgekit.profiles.evaluations.label_rule import LabelRule
from edgekit.profiles.evaluations.metrics import Assessment, SpearmanCosine
from edgekit.profiles.evaluations.standing import by_order
from edgekit.spec import LabelsAre


class VectorEvaluation:
    """The order of the pairs' cosines is compared with the order that the file says."""

    metric = SpearmanCosine()
    inputs_per_row = 2
    classes: tuple[str, ...] = ()
    scored_labels: tuple[str, ...] = ()

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose `text`, or all that are not the label where they are one or two."""
        others = [name for name in names if name != label]
        return ["text"] if "text" in others else others if len(others) <= 2 else []

    def fit(self, cells: Iterable[object], wanted: LabelsAre | None = None) -> Fit:
        """Count the numbers: there is one way to read them."""
        found = [as_number(cell) is not None for cell in cells]
        return Fit(rule=LabelRule(are="numbers"), fitting=sum(found) / max(1, len(found)))

    def truth(self, value: object, given: object, rule: LabelRule | None = None) -> float:
        """Read how alike the two inputs of a row are, on any scale."""
        found = as_number(value)
        if found is None:
            raise InputError("its label must be a number that says how alike the two texts are")
        return found

    def assess(self, answers: Answers, truths: Sequence[Truth]) -> Assessment:
        """Compute each pair's cosine."""
        vectors = np.stack(answers)
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        cosines = np.einsum("ij,ij->i", vectors[0::2], vectors[1::2])
        rows = np.stack([cosines, np.array(truths, dtype=np.float64)], axis=1)
        return Assessment(value=self.metric.value(rows), rows=rows, said=vectors, classes={})

    def standing(self, answers: Answers, truths: Sequence[Truth], confidence: float) -> Standing:
        """Hold the order of the cosines against no order."""
        return by_order(self.assess(answers, truths).rows, confidence)

    def probabilities(self, answers: Answers) -> np.ndarray:
        """Compute nothing: a vector has no labels."""
        return np.empty((len(answers), 0))

    def reliability(self, answers: Answers, truths: Sequence[Truth]) -> None:
        """Say nothing, for want of probabilities."""


def evaluation(task: RowFormat[str]) -> Evaluation:
    """Make the evaluation of a task's answers."""
    return VectorEvaluation()
