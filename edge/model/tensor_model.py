"""Model: an engine and a task on one folder. `predict` is the call that server, batch, golden check
and profiler share.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgekit.edge.engines import Compiled, Session, load_compiler, load_engine
from edgekit.edge.model.device_compile import read_compiled
from edgekit.edge.model.slot import check_slot
from edgekit.edge.tasks import Task, load_task
from edgekit.edge.tasks.predictions import Prediction
from edgekit.errors import InputError
from edgekit.nouns import Setting
from edgekit.process import forget_peak_memory

T = TypeVar("T")


class Model:
    """Inputs in, answers or predictions out. An answer is one float32 array for each input (see
    Task).
    """

    def __init__(self, task: Task[Any], session: Session, setting: Setting) -> None:
        self.task = task
        self.setting = setting
        self._session = session
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """One engine call for at most `setting.batch_size` inputs at a time."""
        size = self.setting.batch_size
        parts = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        return [answer for part in parts for answer in self._call(part)]

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """One prediction for each input."""
        return self.task.decode(inputs, self.answers(inputs))

    def answers_of_batches(self, batches: Iterable[Sequence[Any]]) -> Iterator[list[np.ndarray]]:
        """The answers to each batch, in order, with `setting.streams` engine calls side by side."""
        return self._side_by_side(self._call, batches)

    def attempts_of_batches(
        self, batches: Iterable[Sequence[Any]]
    ) -> Iterator[list[np.ndarray | InputError]]:
        """The same for inputs that may be unsound (a picture that can't be decoded): its error in
        an input's place.
        """
        return self._side_by_side(self._attempt, batches)

    def _side_by_side(
        self, call: Callable[[Sequence[Any]], T], batches: Iterable[Sequence[Any]]
    ) -> Iterator[T]:
        streams = self.setting.streams
        if streams == 1:
            yield from map(call, batches)
            return
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(streams, "stream")
        coming = iter(batches)
        waiting = deque(self._pool.submit(call, batch) for batch in islice(coming, 2 * streams))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(self._pool.submit(call, batch) for batch in islice(coming, 1))

    def _call(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        if not inputs:
            return []
        feeds = self.task.encode(inputs)
        return self.task.answers(self._session.run(feeds), feeds)

    def _attempt(self, inputs: Sequence[Any]) -> list[np.ndarray | InputError]:
        try:
            return list(self._call(inputs))
        except Exception:  # noqa: BLE001 - an engine may raise anything over one input: find which
            errors = [self._error_of(value) for value in inputs]
        rows = iter(
            self._call(
                [value for value, error in zip(inputs, errors, strict=True) if error is None]
            )
        )
        return [next(rows) if error is None else error for error in errors]

    def _error_of(self, value: Any) -> InputError | None:  # noqa: ANN401
        try:
            self._call([value])
        except InputError as error:
            return error
        except Exception as error:  # noqa: BLE001 - its text could quote the input
            return InputError(f"the engine failed on this input ({type(error).__name__})")
        return None


def open_model(
    folder: Path, engine: str, setting: Setting, compiled: Compiled | None = None
) -> Model:
    """Load an artifact's folder, with what was compiled of it on this device, if that is given."""
    task = load_task(folder)
    if compiled is None:
        return Model(task, load_engine(engine).load(folder, setting), setting)
    return Model(task, load_compiler(engine).load_compiled(folder, setting, compiled), setting)


def open_slot(folder: Path, slot_sha256: str | None = None) -> Model:
    """Load the model of a slot with the setting that was measured, after every file was hashed
    again (BLAKE3).

    slot_sha256: of slot.json, as the store's pointer has it. Raises Refused if a file is not what
    was deployed.
    """
    slot = check_slot(folder, slot_sha256)
    forget_peak_memory()  # hashing maps whole files, which says nothing about the model
    return open_model(folder, slot.engine, slot.setting, read_compiled(folder, slot))
