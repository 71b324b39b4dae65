"""One answer from the command line, from a model that is opened in a child process for it."""

import contextlib
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgekit.edge.model.tensor_model import open_slot
from edgekit.edge.tasks.predictions import Prediction
from edgekit.errors import EdgekitError, JobFailed
from edgekit.job import Progress, run_job
from edgekit.nouns import Noun


class OnceRequest(Noun, frozen=True, kw_only=True):
    """What is asked.

    slot_folder: the slot that answers. slot_sha256: of its slot.json, as the store's pointer has
    it. value: the word on the command line. here: the folder that a path in it is relative to.
    """

    slot_folder: str
    slot_sha256: str
    value: str
    here: str


class Predicted(NamedTuple):
    """A prediction, and the labels that its probabilities are of."""

    prediction: Prediction
    labels: list[str]


def predict_once(request: OnceRequest) -> Predicted:
    """Answer in a child process; raises InputError, Refused, EngineFailed, JobFailed."""
    with tempfile.TemporaryDirectory(prefix="edgekit-predict-") as scratch:
        try:
            found = run_job(
                "edgekit.edge.worker.once:predict_job",
                msgspec.to_builtins(request),
                Path(scratch) / "log",
                profile="predict",
            )
        except JobFailed as error:  # its log is gone by then
            raise JobFailed(f"the model {error.reason}", error.signal) from None
    return msgspec.convert(found, Predicted)


def predict_job(request: object, progress: Progress) -> object:
    """Be the child process; return the Predicted."""
    asked = msgspec.convert(request, OnceRequest)
    model = open_slot(Path(asked.slot_folder), asked.slot_sha256)
    with contextlib.chdir(asked.here):
        value = model.task.argument(asked.value)
    [found] = model.attempt([value])
    if isinstance(found, EdgekitError):
        raise found
    return msgspec.to_builtins(Predicted(found, list(model.task.labels)))
