"""The golden check: a slot must reproduce the reference's answers on this device before it may serve."""

from pathlib import Path

import numpy as np

from edgekit.edge.model import Model, open_slot, read_slot
from edgekit.job import Progress
from edgekit.nouns import Golden, read_json


def golden_difference(model: Model, golden: Golden) -> float:
    """The largest difference between the model's answers and the reference's; NaN if the model answers NaN."""
    answers = model.answers([model.task.parse(value) for value in golden.inputs])
    expected = [np.array(answer, dtype=np.float32) for answer in golden.answers]
    if [answer.shape for answer in answers] != [answer.shape for answer in expected]:
        return float("inf")
    return float(max(np.max(np.abs(said - right)) for said, right in zip(answers, expected, strict=True)))


def read_golden(folder: Path) -> Golden:
    """golden.json of a slot or a build."""
    return read_json((folder / "golden.json").read_bytes(), Golden)


def golden_job(request: dict[str, str], progress: Progress) -> object:
    """`folder` and `slot_sha256` of a slot; returns the difference and what is tolerated."""
    folder = Path(request["folder"])
    progress("loading", 0)
    difference = golden_difference(open_slot(folder, request["slot_sha256"]), read_golden(folder))
    # JSON has no NaN: a model that answers it is as wrong as can be.
    shown = difference if np.isfinite(difference) else 1e308
    return {"difference": shown, "tolerance": read_slot(folder).golden_tolerance}
