"""Model: an engine and a task on one folder, for models that turn tensors into tensors.

Server, batch, golden check and profiler call it, through `edgekit.edge.worker.scheduler` where
several inputs wait.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.edge.engines import Compiled, TensorSession, load_compiler, load_engine
from edgekit.edge.model.device_compile import read_compiled
from edgekit.edge.model.slot import check_slot
from edgekit.edge.tasks import Task, load_task
from edgekit.edge.tasks.predictions import Prediction
from edgekit.errors import EdgekitError, EngineFailed
from edgekit.nouns import Setting
from edgekit.process import forget_peak_memory


class Model:
    """A model that turns inputs into answers, and answers into predictions.

    An answer is one float32 array for each input (see Task). All methods may be called from
    `setting.streams` threads at once.
    """

    def __init__(self, task: Task[Any], session: TensorSession, setting: Setting) -> None:
        self.task = task
        self.setting = setting
        self._session = session

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Return the answers, by calls of at most `setting.batch_size` inputs.

        Raises what task and engine raise, and EngineFailed for an answer that is not a number.
        """
        return checked(self.unchecked_answers(inputs))

    def unchecked_answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Return the answers as the engine gave them, for callers that look for NaN themselves."""
        size = self.setting.batch_size
        parts = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        return [answer for part in parts for answer in self._call(part)]

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """Return one prediction for each input; raises as `answers` does."""
        return self.task.decode(inputs, self.answers(inputs))

    def attempt(self, inputs: Sequence[Any]) -> list[np.ndarray | EdgekitError]:
        """Return for each input its answer, or why it has none: an error of one spoils no other."""
        try:
            answers = self.unchecked_answers(inputs)
        except Exception:  # noqa: BLE001 - an engine may raise anything over one input: find which
            return [self._attempt_one(value) for value in inputs]
        return [_not_a_number(answer) or answer for answer in answers]

    def _call(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        feeds = self.task.encode(inputs)
        return self.task.answers(self._session.run(feeds), feeds)

    def _attempt_one(self, value: Any) -> np.ndarray | EdgekitError:  # noqa: ANN401
        try:
            [answer] = self._call([value])
        except EdgekitError as error:
            return error
        except Exception as error:  # noqa: BLE001 - its text could quote the input
            return EngineFailed(f"the engine failed on this input ({type(error).__name__})")
        return _not_a_number(answer) or answer


def checked(answers: list[np.ndarray]) -> list[np.ndarray]:
    """Return the answers; raises EngineFailed where one of them is not a number."""
    if problem := next(filter(None, map(_not_a_number, answers)), None):
        raise problem
    return answers


def _not_a_number(answer: np.ndarray) -> EngineFailed | None:
    """Return what is wrong with an answer that no label may be read from, or None."""
    if np.isfinite(answer).all():
        return None
    return EngineFailed("the model's answer to this input is not a number")


def open_model(
    folder: Path, engine: str, setting: Setting, compiled: Compiled | None = None
) -> Model:
    """Load an artifact's folder, with what was compiled of it on this device, if that is given."""
    task = load_task(folder)
    if compiled is None:
        return Model(task, load_engine(engine).load(folder, setting), setting)
    return Model(task, load_compiler(engine).load_compiled(folder, setting, compiled), setting)


def open_slot(folder: Path, slot_sha256: str | None = None) -> Model:
    """Load a slot's model with the measured setting, after every file was hashed again (BLAKE3).

    slot_sha256: the hash of slot.json, as the store's pointer has it.

    Raises Refused if a file is not what was deployed.
    """
    slot = check_slot(folder, slot_sha256)
    forget_peak_memory()  # hashing maps whole files, which says nothing about the model
    return open_model(folder, slot.engine, slot.setting, read_compiled(folder, slot))
