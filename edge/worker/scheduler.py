"""The scheduler: what waits is joined into engine calls, and no client waits for another's pile.

Whenever a stream is free it takes its share of what is waiting, up to the setting's batch size,
inputs of like length together; nothing is held back in the hope of more. Clients take turns row by
row, so that a request of a thousand rows slows the others down and stops nobody. The worker, the
profiler's server scenario and the batch runner share this code.

    with TensorScheduler(model) as scheduler:
        scheduler.ask(Request(inputs, done), owner="client 7")
        for answers in scheduler.in_order(batches): ...
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, Generic, Self, TypeVar

from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks.predictions import Prediction
from edgekit.errors import EdgekitError

T = TypeVar("T")
Outcome = Prediction | EdgekitError  # what is said of one input, or why there is nothing
Done = Callable[[list[Outcome]], None]  # called once, from a stream's thread

LOOK_AHEAD = 4  # times the batch size: so many waiting rows are looked at for those of like length
MOST_PADDING = 1.5  # times the inputs' own lengths may a joined call be padded to
FREE_PADDING = 256  # units of length that a call may be padded by in any case
# Units of length that are joined: a document of many windows is many engine calls, and who comes
# after it waits for no others like it; nor are they all in memory at once.
MOST_TOGETHER = 1 << 16


class Request:
    """Inputs that were asked together, and the outcomes that came so far.

    done: called once with one outcome for each input, on a stream's thread.
    is_cancelled: nobody waits for it any more; rows that have not had their turn are left out.
    """

    def __init__(self, inputs: Sequence[Any], done: Done) -> None:
        self.inputs = inputs
        self.is_cancelled = False
        self._outcomes: dict[int, Outcome] = {}
        self._done = done

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes in the order of the inputs."""
        return [self._outcomes[index] for index in range(len(self.inputs))]

    def settle(self, index: int, outcome: Outcome) -> bool:
        """Note an input's outcome; return whether it was the last one. Call it under a lock."""
        self._outcomes[index] = outcome
        return len(self._outcomes) == len(self.inputs)

    def finish(self, outcomes: list[Outcome]) -> None:
        """Hand all outcomes on, unless nobody waits for them any more."""
        if not self.is_cancelled:
            self._done(outcomes)


class _Row:
    """One input of a request that waits for its turn."""

    __slots__ = ("index", "length", "request")

    def __init__(self, request: Request, index: int, length: int) -> None:
        self.request = request
        self.index = index
        self.length = length


class _Sealed(Generic[T]):
    """Work that is done in one piece and joined with nothing."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self.future: Future[T] = Future()

    def run(self) -> None:
        """Do it; what it raises is raised where the result is taken."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class TensorScheduler:
    """Joins the inputs of many clients into calls of one model, on `setting.streams` threads."""

    def __init__(self, model: Model, after_call: Callable[[], None] = lambda: None) -> None:
        """after_call: called on a stream's thread whenever an engine call has ended."""
        self._model = model
        self._after_call = after_call
        self._ready = threading.Condition()
        self._rows: dict[str, deque[_Row]] = {}  # by owner, in the order of their next turns
        self._sealed: deque[_Sealed[Any]] = deque()
        self._is_closed = False
        self._streams = [
            threading.Thread(target=self._work, name=f"stream-{number}", daemon=True)
            for number in range(model.setting.streams)
        ]
        for stream in self._streams:
            stream.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the streams end after the calls that they are in; what waits is dropped."""
        with self._ready:
            self._is_closed = True
            for sealed in self._sealed:
                sealed.future.cancel()
            self._ready.notify_all()
        for stream in self._streams:
            stream.join()

    def ask(self, request: Request, owner: str, *, alone: bool = False) -> None:
        """Queue a request's inputs.

        owner: whose they are; owners take turns.
        alone: they are joined with nothing and answered one by one: what kills an engine takes no
        other request along.
        """
        if alone or not request.inputs:
            self.alone(lambda: request.finish(self._one_by_one(request)))
            return
        length = self._model.task.length
        rows = [_Row(request, index, length(value)) for index, value in enumerate(request.inputs)]
        with self._ready:
            self._rows.setdefault(owner, deque()).extend(rows)
            self._ready.notify(len(rows))

    def alone(self, call: Callable[[], T]) -> "Future[T]":
        """Run something on a stream in one piece, before all that waits."""
        sealed = _Sealed(call)
        with self._ready:
            self._sealed.append(sealed)
            self._ready.notify()
        return sealed.future

    def _one_by_one(self, request: Request) -> list[Outcome]:
        outcomes = []
        for value in request.inputs:
            outcomes += self._model.attempt([value])
            self._after_call()
        return outcomes

    def in_order(
        self, batches: Iterable[Sequence[Any]], call: Callable[[Sequence[Any]], T]
    ) -> Iterator[T]:
        """Yield what `call` makes of each batch, in order, all streams at work side by side.

        A batch is one piece: what is computed depends on the batches alone, and on no other's
        timing.
        """
        coming = iter(batches)
        under_way = deque(
            self.alone(_bound(call, batch)) for batch in islice(coming, 2 * len(self._streams))
        )
        while under_way:
            yield under_way.popleft().result()
            under_way.extend(self.alone(_bound(call, batch)) for batch in islice(coming, 1))

    def _work(self) -> None:
        """Be one stream."""
        while (batch := self._take()) is not None:
            if isinstance(batch, _Sealed):
                batch.run()
            elif batch:
                self._answer(batch)
            self._after_call()

    def _answer(self, rows: list[_Row]) -> None:
        outcomes = self._model.attempt([row.request.inputs[row.index] for row in rows])
        with self._ready:
            finished = [
                row.request
                for row, outcome in zip(rows, outcomes, strict=True)
                if row.request.settle(row.index, outcome)
            ]
        for request in finished:
            request.finish(request.outcomes)

    def _take(self) -> "_Sealed[Any] | list[_Row] | None":
        """Wait for the next call's work; None once the scheduler is closed."""
        with self._ready:
            while not (self._sealed or self._rows or self._is_closed):
                self._ready.wait()
            if self._is_closed:
                return None
            if self._sealed:
                return self._sealed.popleft()
            return self._draw(min(self._share(), self._model.setting.batch_size))

    def _share(self) -> int:
        """Return how many of the waiting rows one stream may take, so that all end together.

        It is one stream's share of what waits, as in guided self-scheduling (C. Polychronopoulos
        and D. Kuck, IEEE Transactions on Computers, 1987).
        """
        return -(-sum(map(len, self._rows.values())) // len(self._streams))

    def _draw(self, size: int) -> list[_Row]:
        """Take out the rows of the next call: the first owner's first, and those that suit it."""
        looked_at, rows = self._look(LOOK_AHEAD * size if size > 1 else 1)
        chosen = {id(rows[place]) for place in joined([row.length for row in rows], size)}
        served = []
        for owner, count in looked_at.items():
            waiting = self._rows[owner]
            seen = [waiting.popleft() for _ in range(count)]
            kept = [row for row in seen if id(row) not in chosen and not row.request.is_cancelled]
            waiting.extendleft(reversed(kept))
            if len(kept) < count:
                served.append(owner)
        for owner in served:  # the others are first in the next call's turns
            waiting = self._rows.pop(owner)
            if waiting:
                self._rows[owner] = waiting
        return [row for row in rows if id(row) in chosen]

    def _look(self, most: int) -> tuple[dict[str, int], list[_Row]]:
        """Return how many rows of each owner were looked at, and the rows, owners in turn."""
        looked_at: dict[str, int] = {}
        rows: list[_Row] = []
        turns = deque((owner, iter(waiting)) for owner, waiting in islice(self._rows.items(), most))
        while turns and len(rows) < most:
            owner, coming = turns.popleft()
            if (row := next(coming, None)) is None:
                continue
            turns.append((owner, coming))
            looked_at[owner] = looked_at.get(owner, 0) + 1
            if not row.request.is_cancelled:
                rows.append(row)
        return looked_at, rows


def joined(lengths: Sequence[int], size: int) -> list[int]:
    """Return the places of inputs for one call: the first, and those nearest to its length.

    lengths: of the inputs that wait, in the order of their turns; in any unit. size: how many
    inputs a call takes at most. Fewer are taken where padding would be most of the work, and where
    they are very long together.
    """
    order = sorted(range(len(lengths)), key=lambda place: abs(lengths[place] - lengths[0]))
    chosen: list[int] = []
    longest = total = 0
    for place in order[:size]:
        longest_now, total_now = max(longest, lengths[place]), total + lengths[place]
        padded = longest_now * (len(chosen) + 1)
        is_padding = padded > MOST_PADDING * total_now + FREE_PADDING
        if chosen and (is_padding or total_now > MOST_TOGETHER):
            break
        chosen.append(place)
        longest, total = longest_now, total_now
    return chosen


def _bound(call: Callable[[Sequence[Any]], T], batch: Sequence[Any]) -> Callable[[], T]:
    return lambda: call(batch)
