"""What the front and a worker say to each other, as frames (see edgekit.frames).

    front: Ask, AskText, Cancel, Credit, Check
    worker: Hello or NotStarted, then Answer, Piece, Unanswered, Checked, Alive

Every question has a number, and what is said of it carries that number. Pieces of a text come only
for credit: a reader that falls behind gets fewer and larger ones, and stops nobody else.
"""

from typing import Any

import msgspec

from edgekit.edge.engines import Finish, TextRequest
from edgekit.edge.model.health import Health
from edgekit.edge.tasks.predictions import Prediction
from edgekit.frames import Messages
from edgekit.problems import Problem


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """A worker's first word: its model is loaded and has answered its golden samples.

    tensor: of many inputs, as KServe v2 writes it: datatype and shape, -1 for any.
    outputs: name, datatype and shape of each output tensor.
    memory_bytes: the peak of the process, its golden samples answered and nothing else.
    """

    task: str
    labels: list[str]
    tensor: tuple[str, list[int]]
    outputs: list[dict[str, Any]]
    engine: str
    variant: str
    memory_bytes: int

    def is_one_input(self, value: object) -> bool:
        """Return whether a list is one input, such as a row of numbers, and not several."""
        if len(self.tensor[1]) < 2 or not isinstance(value, list) or not value:
            return False
        return all(isinstance(item, int | float) for item in value)


class NotStarted(msgspec.Struct, frozen=True, kw_only=True, tag="not-started"):
    """A worker's only word where it can't serve, and why."""

    problem: Problem


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Inputs in the task's wire form, as the client sent them; nothing has looked at them yet.

    owner: whose they are; owners take turns.
    alone: join them with no others, since they may have killed a worker.
    """

    id: int
    inputs: list[Any]
    owner: str = ""
    alone: bool = False


class AskText(msgspec.Struct, frozen=True, kw_only=True, tag="ask-text"):
    """A text to be generated. credit: how many pieces may be sent before more credit comes."""

    id: int
    request: TextRequest
    credit: int


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Nobody waits for this answer any more. Nothing is said of it from then on."""

    id: int


class Credit(msgspec.Struct, frozen=True, kw_only=True, tag="credit"):
    """So many pieces more may be sent of this text."""

    id: int
    pieces: int


class Check(msgspec.Struct, frozen=True, kw_only=True, tag="check"):
    """Answer the golden samples again, before what has not had its turn yet."""

    id: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """One prediction for each input."""

    id: int
    predictions: list[Prediction]


class TextPiece(msgspec.Struct, frozen=True, kw_only=True, tag="piece"):
    """New tokens of a text, all those since the last piece; with finish, it is the last one."""

    id: int
    tokens: list[int]
    logprobs: list[float] = []
    finish: Finish | None = None


class Unanswered(msgspec.Struct, frozen=True, kw_only=True, tag="unanswered"):
    """Why there is no answer, or no more of one."""

    id: int
    problem: Problem


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag="checked"):
    """How the golden samples were answered."""

    id: int
    health: Health


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag="alive"):
    """An engine call has ended, while the answers that wait for it are not complete yet."""


FromFront = Ask | AskText | Cancel | Credit | Check
FromWorker = Hello | NotStarted | Answer | TextPiece | Unanswered | Checked | Alive
FROM_FRONT: Messages[FromFront] = Messages(FromFront)
FROM_WORKER: Messages[FromWorker] = Messages(FromWorker)
