"""The worker: one process, one model, no sockets but the one it was born with.

`python -m edgekit.edge.worker.process SLOT SLOT_SHA256 FD`. It ends when the front closes its end.
"""

import signal
import socket
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgekit.edge.model.health import health_of, read_golden, wrong_answers
from edgekit.edge.model.slot import read_slot
from edgekit.edge.model.tensor_model import Model, open_slot
from edgekit.edge.tasks.predictions import output_shapes
from edgekit.edge.worker.messages import (
    HEADER,
    Answer,
    Ask,
    Check,
    Checked,
    Frame,
    Hello,
    Problem,
    body_size,
    pack_frame,
    unpack_frame,
)
from edgekit.errors import EdgekitError, InputError, Misfit
from edgekit.nouns import Golden
from edgekit.offline import stay_offline
from edgekit.process import die_with_parent, write_no_core


class Line:
    """Frames over a connected socket; `send` may be called from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        with self._lock:
            self._connection.sendall(pack_frame(frame))

    def receive(self) -> Frame | None:
        """The next frame; None when the other end is gone."""
        header = self._reader.read(HEADER)
        if len(header) < HEADER:
            return None
        return unpack_frame(self._reader.read(body_size(header)))


def answer(model: Model, ask: Ask) -> Answer | Problem:
    """Predictions, or why there are none."""
    try:
        inputs = [model.task.parse(value) for value in ask.inputs]
        return Answer(id=ask.id, predictions=model.predict(inputs))
    except InputError as error:
        return Problem(id=ask.id, is_input=True, message=str(error))
    except Exception as error:  # noqa: BLE001 - an engine may raise anything; its text could quote the input
        print(f"edgekit: the engine failed with {type(error).__name__}", file=sys.stderr)
        return Problem(id=ask.id, is_input=False, message="the engine failed on this input")


def check(model: Model, golden: Golden, ask: Check) -> Checked | Problem:
    """How the golden samples are answered now."""
    try:
        return Checked(id=ask.id, health=health_of(model, golden))
    except Exception as error:  # noqa: BLE001 - an engine may raise anything
        return Problem(
            id=ask.id, is_input=False, message=f"the engine failed with {type(error).__name__}"
        )


def work(line: Line, folder: Path, slot_sha256: str) -> None:
    """Load, answer the golden samples, say hello, and answer until the line ends; raises Misfit for
    wrong answers.
    """
    slot, golden = read_slot(folder), read_golden(folder)
    model = open_slot(folder, slot_sha256)
    if wrong := wrong_answers(slot, health_of(model, golden)):
        raise Misfit(f"{slot.variant} {slot.version} {wrong}")
    answered = model.predict([model.task.parse(value) for value in golden.inputs])
    line.send(
        Hello(
            task=model.task.name,
            labels=list(model.task.labels),
            tensor=model.task.tensor,
            outputs=output_shapes(answered),
            engine=slot.engine,
            variant=slot.variant,
            streams=slot.setting.streams,
        )
    )
    with ThreadPoolExecutor(slot.setting.streams, "stream") as streams:
        while frame := line.receive():
            if isinstance(frame, Ask):
                streams.submit(lambda ask: line.send(answer(model, ask)), frame)
            elif isinstance(frame, Check):
                streams.submit(lambda ask: line.send(check(model, golden, ask)), frame)


def main() -> None:
    """The process."""
    folder, slot_sha256, handle = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the front, which closes our line
    stay_offline()
    write_no_core()
    try:
        with socket.socket(fileno=handle) as connection:
            work(Line(connection), folder, slot_sha256)
    except EdgekitError as error:
        print(f"edgekit: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)
    except Exception:  # noqa: BLE001 - before the first input there is no payload that a traceback could show
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
