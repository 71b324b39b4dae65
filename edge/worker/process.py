"""The worker: one process, one model, no sockets but the one that it was born with.

It loads a slot, answers the golden samples, says hello, and answers until the front closes its end.
"""

import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit import log
from edgekit.edge.model.health import health_of, read_golden, wrong_answers
from edgekit.edge.model.slot import read_slot
from edgekit.edge.model.tensor_model import Model, open_slot
from edgekit.edge.tasks.predictions import Prediction, output_shapes
from edgekit.edge.worker.messages import (
    FROM_FRONT,
    FROM_WORKER,
    Alive,
    Answer,
    Ask,
    Cancel,
    Check,
    Checked,
    FromFront,
    FromWorker,
    Hello,
    NotStarted,
    Unanswered,
)
from edgekit.edge.worker.scheduler import Outcome, Request, TensorScheduler
from edgekit.errors import EdgekitError, EngineFailed, InputError, Misfit
from edgekit.frames import greeting, read_greeting
from edgekit.nouns import Golden
from edgekit.problems import Problem, problem_of

ALIVE_SECONDS = 1.0  # between two signs of life, where no answer is one


class Line:
    """Frames over a connected socket; `send` may be called from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._lock = threading.Lock()
        self._sent = 0.0
        connection.sendall(greeting())

    def send(self, frame: FromWorker) -> None:
        """Send a frame; one to a front that has gone away is dropped, as the next read ends us."""
        data = FROM_WORKER.pack(frame)
        try:
            with self._lock:
                self._connection.sendall(data)
                self._sent = time.monotonic()
        except OSError:
            pass

    def sign_of_life(self) -> None:
        """Send one, unless something was sent just now."""
        if time.monotonic() - self._sent > ALIVE_SECONDS:
            self.send(Alive())

    def greeted(self) -> bool:
        """Read the front's greeting; return whether one came. Raises Garbled."""
        return read_greeting(self._reader) is not None

    def receive(self) -> FromFront | None:
        """Read the next frame; None when the other end is gone. Raises Garbled."""
        try:
            return FROM_FRONT.read(self._reader)
        except ConnectionError:
            return None


class TensorWorker:
    """Answers the front's frames with one model."""

    def __init__(self, line: Line, model: Model, golden: Golden) -> None:
        self._line = line
        self._model = model
        self._golden = golden
        model.after_call = line.sign_of_life
        self._scheduler = TensorScheduler(model, line.sign_of_life)
        self._asked: dict[int, Request] = {}

    def serve(self) -> None:
        """Answer until the line ends."""
        while frame := self._line.receive():
            if isinstance(frame, Ask):
                self._ask(frame)
            elif isinstance(frame, Check):
                self._check(frame)
            elif isinstance(frame, Cancel) and (request := self._asked.pop(frame.id, None)):
                request.is_cancelled = True

    def _ask(self, ask: Ask) -> None:
        try:
            inputs = self._parsed(ask.inputs)
        except Exception as error:  # noqa: BLE001 - whatever a client's input leads to
            self._line.send(_unanswered(ask.id, error))
            return

        def done(outcomes: list[Outcome]) -> None:
            self._asked.pop(ask.id, None)
            self._line.send(_reply(ask.id, outcomes))

        self._asked[ask.id] = request = Request(inputs, done)
        self._scheduler.ask(request, ask.owner, alone=ask.alone)

    def _parsed(self, values: Sequence[object]) -> list[Any]:
        """Return the inputs; raises InputError before they take more memory than they may."""
        task, inputs, length = self._model.task, list[Any](), 0
        for value in values:
            inputs.append(task.parse(value))
            length += task.length(inputs[-1])
            if length > task.most_length:
                raise InputError(
                    f"the inputs of a request are too long together: {task.most_length} is the"
                    " most; ask for fewer at once"
                )
        return inputs

    def _check(self, check: Check) -> None:
        def done() -> None:
            try:
                health = health_of(self._model, self._golden)
            except Exception as error:  # noqa: BLE001 - an engine may raise anything
                problem = EngineFailed(f"the engine failed with {type(error).__name__}")
                self._line.send(_unanswered(check.id, problem))
            else:
                self._line.send(Checked(id=check.id, health=health))

        self._scheduler.alone(done)


def _reply(number: int, outcomes: Sequence[Outcome]) -> FromWorker:
    """Return the frame with the predictions, or with the first error among them."""
    predictions: list[Prediction] = []
    for place, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, EdgekitError):
            return _unanswered(number, outcome, f"input {place}" if len(outcomes) > 1 else "")
        predictions.append(outcome)
    return Answer(id=number, predictions=predictions)


def _unanswered(number: int, error: Exception, where: str = "") -> Unanswered:
    """Return the frame for an error, without a foreign one's text: it could quote the input."""
    problem = problem_of(error)
    if problem is None:
        log.error("the engine failed with %s", type(error).__name__)
        problem = Problem(kind="EngineFailed", message="the engine failed on this input")
    elif problem.kind == "EngineFailed":
        log.error("%s", problem.message)
    if where:
        problem = Problem(kind=problem.kind, message=f"{where}: {problem.message}")
    return Unanswered(id=number, problem=problem)


def work(line: Line, folder: Path, slot_sha256: str) -> None:
    """Load, answer the golden samples, say hello, and serve; raises Misfit for wrong answers."""
    slot, golden = read_slot(folder), read_golden(folder)
    model = open_slot(folder, slot_sha256)
    health = health_of(model, golden)
    if wrong := wrong_answers(slot, health):
        raise Misfit(f"{slot.variant} {slot.version} {wrong}")
    answered = model.predict([model.task.parse(golden.inputs[0])])
    worker = TensorWorker(line, model, golden)
    line.send(
        Hello(
            task=model.task.name,
            labels=list(model.task.labels),
            tensor=model.task.tensor,
            outputs=output_shapes(answered),
            engine=slot.engine,
            variant=slot.variant,
            memory_bytes=health.memory_bytes,
        )
    )
    worker.serve()


def main(arguments: Sequence[str]) -> None:
    """Be the worker process: SLOT SLOT_SHA256 FD."""
    folder, slot_sha256, handle = Path(arguments[0]), arguments[1], int(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the front, which closes our line
    with socket.socket(fileno=handle) as connection:
        line = Line(connection)
        try:
            if line.greeted():
                work(line, folder, slot_sha256)
        except EdgekitError as error:
            log.error("%s", error)
            line.send(NotStarted(problem=Problem(kind=type(error).__name__, message=error.reason)))
