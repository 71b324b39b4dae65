"""The watch window: after a switch the new slot has to prove itself while it serves, or the one
before comes back.

It lasts so many seconds of healthy serving, by the monotonic clock of the server; no time of day
matters. How often the worker was started is counted on disk, so that a box that reboots in a loop
comes to an end as well.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import give_up, prove
from edgekit.edge.appliance.watch_counts import WatchCounts
from edgekit.edge.model import device_compile as compiled
from edgekit.edge.model.health import ailment, memory_limit, wrong_answers
from edgekit.edge.model.slot import read_slot
from edgekit.edge.worker.messages import Checked, Problem
from edgekit.errors import Busy, EdgekitError

CHECK_SECONDS = 10.0  # between golden samples


class GivenUp(EdgekitError):
    """The slot is out of service."""


class Watched(Protocol):
    """A worker, as far as the window looks at it."""

    is_too_large: bool

    @property
    def memory_bytes(self) -> int:
        """What the process holds now."""

    def kill(self) -> None:
        """End the process."""

    async def check(self) -> Checked | Problem:
        """Let it answer the golden samples."""


class Window:
    """Of the slot that is current now. is_open: it has not proven itself yet."""

    def __init__(self, store: Store, model: str) -> None:
        self._store, self._model = store, model
        serving = store.serving(model)
        self.slot: SlotRef = serving.slot
        self._folder = serving.folder
        self._policy = store.policy().watch
        self.is_open = store.only_model(model).is_watched
        self._starts = store.watched(model, self.slot).starts
        self._worker: Watched | None = None
        self._since = self._checked = 0.0
        self._is_well = False  # when it was last checked
        self._said: set[str] = set()

    def starting(self) -> None:
        """A worker is about to start; raises GivenUp if too many did."""
        if not self.is_open:
            return
        if self._starts >= self._policy.starts and self._give_up(
            f"its worker was started {self._starts} times in its watch window"
        ):
            raise GivenUp(f"{self.slot.variant} {self.slot.version} keeps dying and is given up")
        self._count(self._starts + 1)

    def stopped(self) -> None:
        """The server was told to stop: that start says nothing against the slot."""
        if self.is_open and self._starts:
            self._count(self._starts - 1)

    def _count(self, starts: int) -> None:
        self._starts = starts
        with self._trying("count the starts of"):  # a full disk is no reason not to serve
            self._store.keep_watch(
                self._model, WatchCounts(manifest=self.slot.manifest, starts=starts)
            )

    @property
    def start_seconds(self) -> float:
        """How long a worker may take to load the model, compile it if it has to, and answer its
        golden samples.
        """
        compiling = (
            compiled.SECONDS if compiled.needs_device_compile(read_slot(self._folder)) else 0.0
        )
        return self._policy.golden_seconds + compiling

    def failed(self, reason: str, *, is_unsound: bool) -> bool:
        """A worker did not start; returns whether to try again, perhaps with the slot before.

        is_unsound: trying this one again makes no sense.
        """
        has_starts = self.is_open and self._starts < self._policy.starts
        if not is_unsound and (has_starts or not self.is_open):
            return has_starts
        try:
            return self._fall_back(reason)
        except Busy:
            return True  # another command is at work: once it is done, this slot can be given up
        except (EdgekitError, OSError):
            return False

    async def look_at(self, worker: Watched) -> None:
        """Called about once a second while `worker` serves the slot."""
        slot, now = read_slot(self._folder), time.monotonic()
        if worker is not self._worker:
            self._worker, self._since, self._checked, self._is_well = worker, now, now, False
        if worker.memory_bytes > memory_limit(slot):
            print(
                f"edgekit: {slot.variant} took {worker.memory_bytes / 1e6:.0f} MB and is started"
                " anew",
                file=sys.stderr,
            )
            worker.is_too_large = True
            worker.kill()
            return
        if not self.is_open:
            return
        is_over = now - self._since >= self._policy.seconds
        is_last = is_over and self._checked - self._since < self._policy.seconds
        if is_last or now - self._checked >= CHECK_SECONDS:
            self._checked, self._is_well = now, False
            reply = await worker.check()
            reason = reply.message if isinstance(reply, Problem) else ailment(slot, reply.health)
            if reason:
                self._give_up(reason)
                if isinstance(reply, Problem) or wrong_answers(slot, reply.health):
                    # not one answer more; a slow one may serve until the one before is up
                    worker.kill()
                return
            self._is_well = True
        if is_over and self._is_well:
            with self._trying("keep"):  # the next look tries again
                prove(self._store, self._model, self.slot)
                self.is_open = False

    def _give_up(self, reason: str) -> bool:
        with self._trying("give up"):  # the next look tries again
            return self._fall_back(reason)
        return False

    def _fall_back(self, reason: str) -> bool:
        """Returns whether the slot before serves from now on; raises Busy, OSError."""
        if not give_up(self._store, self._model, self.slot, reason):
            return False
        with suppress(OSError):  # deployed again, it has all its starts again
            self._store.keep_watch(self._model, WatchCounts(manifest=self.slot.manifest))
        return True

    @contextmanager
    def _trying(self, what: str) -> Iterator[None]:
        """Go on where the store can't be written now, and say so once: without it the window
        watches nothing.
        """
        try:
            yield
        except Busy:
            pass
        except (EdgekitError, OSError) as error:
            if what not in self._said:
                print(
                    f"edgekit: can't {what} {self.slot.variant} {self.slot.version} in its watch"
                    f" window: {error}; the user that serves must be able to write"
                    f" {self._store.root}",
                    file=sys.stderr,
                )
            self._said.add(what)
