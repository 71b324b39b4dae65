"""Model: an engine and a task on one folder, for models that turn tensors into tensors.

Server, batch, golden check and profiler call it, through `edgekit.edge.worker.scheduler` where
several inputs wait.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from edgekit.edge.engines import Compiled, TensorSession, load_compiler, load_engine
from edgekit.edge.model.device_compile import read_compiled
from edgekit.edge.model.slot import check_slot
from edgekit.edge.tasks import Task, Tensors, load_task, run_in_parts
from edgekit.edge.tasks.predictions import TRUNCATED, Prediction
from edgekit.errors import EdgekitError, EngineFailed
from edgekit.nouns import Setting
from edgekit.process import forget_peak_memory


class Answer(NamedTuple):
    """What the model says of one input.

    values: float32, as the task makes them (see Task); they may be NaN.
    truncated: a part of the input was not read, since the model takes no more.
    """

    values: np.ndarray
    truncated: bool


class Model:
    """A model that turns inputs into answers, and answers into predictions.

    All methods may be called from `setting.streams` threads at once.

    after_call: called whenever an engine call has ended; one input may take several.
    """

    def __init__(self, task: Task[Any], session: TensorSession, setting: Setting) -> None:
        self.task = task
        self.setting = setting
        self.after_call: Callable[[], None] = lambda: None
        self._session = session

    def read(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return the answers, by calls of at most `setting.batch_size` inputs.

        Raises what task and engine raise.
        """
        size = self.setting.batch_size
        parts = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        return [answer for part in parts for answer in self._call(part)]

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Return the values of the answers; raises what task and engine raise."""
        return [answer.values for answer in self.read(inputs)]

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """Return one prediction for each input; raises what task and engine raise, EngineFailed."""
        found = self._judged(inputs)
        if problem := next((item for item in found if isinstance(item, EdgekitError)), None):
            raise problem
        return [item for item in found if not isinstance(item, EdgekitError)]

    def attempt(self, inputs: Sequence[Any]) -> list[Prediction | EdgekitError]:
        """Return for each input its prediction, or why it has none: one's error spoils no other."""
        try:
            return self._judged(inputs)
        except Exception:  # noqa: BLE001 - an engine may raise anything over one input: find which
            return [self._attempt_one(value) for value in inputs]

    def _call(self, inputs: Sequence[Any]) -> list[Answer]:
        feeds = self.task.encode(inputs)
        outputs = run_in_parts(self._run, feeds, self.setting.batch_size)
        values = self.task.answers(outputs, feeds)
        cut = feeds[TRUNCATED].tolist() if TRUNCATED in feeds else [False] * len(values)
        return list(map(Answer, values, cut))

    def _run(self, feeds: Tensors) -> Tensors:
        outputs = self._session.run(feeds)
        self.after_call()
        return outputs

    def _judged(self, inputs: Sequence[Any]) -> list[Prediction | EdgekitError]:
        """Return predictions, and what is wrong with an answer that is no number in their place."""
        answers = self.read(inputs)
        problems = [_not_a_number(answer.values) for answer in answers]
        sound = [place for place, problem in enumerate(problems) if problem is None]
        said = self.task.decode(
            [inputs[place] for place in sound], [answers[place].values for place in sound]
        )
        marked = (
            msgspec.structs.replace(prediction, truncated=True)
            if answers[place].truncated
            else prediction
            for place, prediction in zip(sound, said, strict=True)
        )
        return [problem or next(marked) for problem in problems]

    def _attempt_one(self, value: Any) -> Prediction | EdgekitError:  # noqa: ANN401
        try:
            [found] = self._judged([value])
        except EdgekitError as error:
            return error
        except Exception as error:  # noqa: BLE001 - its text could quote the input
            return EngineFailed(f"the engine failed on this input ({type(error).__name__})")
        return found


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
