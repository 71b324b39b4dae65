"""The scheduler for models that generate: sequences share steps, readers set their own pace.

One thread owns the engine's session. Between two steps it takes on what was asked, up to as many
sequences as the session decodes together; owners take turns. A piece is sent only for credit that
its reader gave. Without credit the tokens are kept (a sequence has a bounded number of them) and go
out in one piece later, so a slow reader holds up no other sequence, and its own no longer than it
takes to be generated.
"""

import threading
from collections import deque
from collections.abc import Callable

from edgekit.edge.engines import Finish, Piece, TextRequest, TextSession
from edgekit.edge.worker.messages import TextPiece, Unanswered
from edgekit.errors import EdgekitError, EngineFailed
from edgekit.problems import Problem, problem_of

Send = Callable[[TextPiece | Unanswered], None]


class _Stream:
    """One sequence: what was asked, what its reader may be sent, what waits for credit."""

    def __init__(self, number: int, request: TextRequest, credit: int) -> None:
        self.number = number
        self.request = request
        self.credit = credit
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.finish: Finish | None = None

    def keep(self, piece: Piece) -> None:
        """Add what a step gave to what waits."""
        self.tokens += piece.tokens
        self.logprobs += piece.logprobs
        self.finish = piece.finish

    def take(self) -> TextPiece | None:
        """Return what may be sent now, for one credit; None if there is nothing, or no credit."""
        if self.credit < 1 or not (self.tokens or self.finish):
            return None
        self.credit -= 1
        piece = TextPiece(
            id=self.number, tokens=self.tokens, logprobs=self.logprobs, finish=self.finish
        )
        self.tokens, self.logprobs = [], []
        return piece


class TextScheduler:
    """Decodes the sequences of many clients together, on one thread.

    send: gets pieces and problems; called from the scheduler's thread and from that of `credit`.
    """

    def __init__(self, session: TextSession, send: Send) -> None:
        self._session = session
        self._send = send
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[_Stream]] = {}  # by owner, in the order of their next turns
        self._streams: dict[int, _Stream] = {}  # taken on, until the last piece was sent
        self._running: set[int] = set()  # in the session
        self._cancelled: set[int] = set()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="decode", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the step that is under way."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def ask(self, number: int, request: TextRequest, credit: int) -> None:
        """Queue a sequence. credit: how many pieces may be sent before more credit comes."""
        with self._changed:
            stream = _Stream(number, request, credit)
            self._waiting.setdefault(request.owner, deque()).append(stream)
            self._changed.notify()

    def credit(self, number: int, pieces: int) -> None:
        """Let so many pieces more be sent of a sequence, and send what waits."""
        with self._changed:
            stream = self._find(number)
            if stream is not None:
                stream.credit += pieces
                self._send_what_waits(stream)

    def cancel(self, number: int) -> None:
        """Drop a sequence, wherever it is; nothing is sent of it from now on."""
        with self._changed:
            for waiting in self._waiting.values():
                for stream in [item for item in waiting if item.number == number]:
                    waiting.remove(stream)
            self._waiting = {owner: items for owner, items in self._waiting.items() if items}
            self._streams.pop(number, None)
            if number in self._running:
                self._cancelled.add(number)

    def _find(self, number: int) -> _Stream | None:
        waiting = (item for items in self._waiting.values() for item in items)
        return self._streams.get(number) or next(
            (item for item in waiting if item.number == number), None
        )

    def _work(self) -> None:
        while self._admit():
            try:
                pieces = self._session.step()
            except Exception as error:  # noqa: BLE001 - an engine may raise anything
                self._fail(error)
                continue
            with self._changed:
                for piece in pieces:
                    self._hand_on(piece)

    def _admit(self) -> bool:
        """Wait until a sequence runs, with all that there is room for; False once closed."""
        with self._changed:
            while True:
                for number in self._cancelled:
                    self._session.cancel(number)
                    self._running.discard(number)
                self._cancelled.clear()
                while self._waiting and len(self._running) < self._session.most_sequences:
                    self._start(self._next())
                if self._is_closed or self._running:
                    return not self._is_closed
                self._changed.wait()

    def _next(self) -> _Stream:
        """Take the sequence whose owner's turn it is out of the queue."""
        owner, waiting = next(iter(self._waiting.items()))
        stream = waiting.popleft()
        del self._waiting[owner]
        if waiting:
            self._waiting[owner] = waiting
        return stream

    def _start(self, stream: _Stream) -> None:
        try:
            self._session.add(stream.number, stream.request)
        except Exception as error:  # noqa: BLE001 - an engine may raise anything
            self._send(_unanswered(stream.number, error))
            return
        self._streams[stream.number] = stream
        self._running.add(stream.number)

    def _hand_on(self, piece: Piece) -> None:
        if piece.finish:
            self._running.discard(piece.number)
        stream = self._streams.get(piece.number)
        if stream is not None:  # else it was cancelled during the step
            stream.keep(piece)
            self._send_what_waits(stream)

    def _send_what_waits(self, stream: _Stream) -> None:
        piece = stream.take()
        if piece is None:
            return
        if piece.finish:
            self._streams.pop(stream.number, None)
        self._send(piece)

    def _fail(self, error: Exception) -> None:
        """Say of every running sequence that it is over: which one it was, no engine tells."""
        with self._changed:
            for number in sorted(self._running):
                self._session.cancel(number)
                if self._streams.pop(number, None):
                    self._send(_unanswered(number, error))
            self._running.clear()


def _unanswered(number: int, error: Exception) -> Unanswered:
    """Return the frame for an error; the text of a foreign one could quote the input."""
    if not isinstance(error, EdgekitError):
        error = EngineFailed(f"the engine failed ({type(error).__name__})")
    problem = problem_of(error)
    return Unanswered(
        id=number, problem=problem or Problem(kind="EngineFailed", message=error.reason)
    )
