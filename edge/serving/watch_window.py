"""The watch window: a new slot proves itself while it serves, or the one before comes back.

It lasts so many seconds of healthy serving, by the monotonic clock of the server; no time of day
matters. How often the worker was started is counted on disk, so that a box that reboots in a loop
comes to an end as well.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from edgekit import log
from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import give_up, prove
from edgekit.edge.appliance.watch_counts import WatchCounts
from edgekit.edge.model import device_compile as compiled
from edgekit.edge.model.health import MEMORY_SPARE, ailment, memory_limit, wrong_answers
from edgekit.edge.model.slot import read_slot
from edgekit.edge.worker.messages import Checked, Unanswered
from edgekit.errors import Busy, EdgekitError, GivenUp
from edgekit.nouns import Slot

CHECK_SECONDS = 10.0  # between golden samples


class Watched(Protocol):
    """A worker, as far as the window looks at it."""

    is_too_large: bool

    @property
    def memory_bytes(self) -> int:
        """What the process holds now."""

    @property
    def start_memory_bytes(self) -> int:
        """The peak when it had answered its golden samples and nothing else."""

    def kill(self) -> None:
        """End the process."""

    async def check(self) -> Checked | Unanswered:
        """Let it answer the golden samples."""


class Window:
    """The watch window of the slot that is current now.

    All methods but `look_at` may block on the store: call them on a thread.
    is_open: whether the slot has still to prove itself.
    """

    def __init__(self, store: Store, model: str) -> None:
        self._store, self._model = store, model
        serving = store.serving(model)
        self.slot: SlotRef = serving.slot
        self._folder = serving.folder
        self._policy = store.policy().watch
        self.is_open = store.pointer_of(model).is_watched
        self._starts = store.watched(model, self.slot).starts
        self._worker: Watched | None = None
        self._since = self._checked = 0.0
        self._is_well = False  # when it was last checked
        self._said: set[str] = set()

    def starting(self) -> None:
        """Count a start of a worker; raises GivenUp if there were too many."""
        if not self.is_open:
            return
        if self._starts >= self._policy.starts and self._give_up(
            f"its worker was started {self._starts} times in its watch window"
        ):
            raise GivenUp(f"{self.slot.variant} {self.slot.version} keeps dying and is given up")
        self._count(self._starts + 1)

    def stopped(self) -> None:
        """Take a start back: the server was told to stop, which says nothing against the slot."""
        if self.is_open and self._starts:
            self._count(self._starts - 1)

    def _count(self, starts: int) -> None:
        self._starts = starts
        with self._trying("count the starts of"):  # a full disk is no reason not to serve
            self._store.keep_watch(
                self._model, WatchCounts(manifest=self.slot.manifest, starts=starts)
            )

    def start_seconds(self) -> float:
        """Return how long a worker may take to load, perhaps compile, and answer golden samples."""
        slot = read_slot(self._folder)
        compiling = compiled.SECONDS if compiled.needs_device_compile(slot) else 0.0
        return self._policy.golden_seconds + compiling

    def failed(self, reason: str, *, is_unsound: bool) -> bool:
        """Note that a worker did not start; return whether to try again, or the slot before.

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
        """Check on the worker that serves the slot; call it about once a second."""
        slot, now = await asyncio.to_thread(read_slot, self._folder), time.monotonic()
        if worker is not self._worker:
            self._worker, self._since, self._checked, self._is_well = worker, now, now, False
        # Golden samples are the longest inputs that there are: what they took is no illness.
        limit = max(memory_limit(slot), worker.start_memory_bytes + MEMORY_SPARE)
        if worker.memory_bytes > limit:
            log.warning(
                "%s took %.0f MB and is started anew", slot.variant, worker.memory_bytes / 1e6
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
            reason = _reason(slot, reply)
            if reason:
                await asyncio.to_thread(self._give_up, reason)
                if isinstance(reply, Unanswered) or wrong_answers(slot, reply.health):
                    # not one answer more; a slow one may serve until the one before is up
                    worker.kill()
                return
            self._is_well = True
        if is_over and self._is_well:
            await asyncio.to_thread(self._prove)

    def _prove(self) -> None:
        with self._trying("keep"):  # the next look tries again
            prove(self._store, self._model, self.slot)
            self.is_open = False

    def _give_up(self, reason: str) -> bool:
        with self._trying("give up"):  # the next look tries again
            return self._fall_back(reason)
        return False

    def _fall_back(self, reason: str) -> bool:
        """Give the slot up; return whether the one before serves now. Raises Busy, OSError."""
        if not give_up(self._store, self._model, self.slot, reason):
            return False
        with suppress(OSError):  # deployed again, it has all its starts again
            self._store.keep_watch(self._model, WatchCounts(manifest=self.slot.manifest))
        return True

    @contextmanager
    def _trying(self, what: str) -> Iterator[None]:
        """Go on where the store can't be written, and say so once: the window is blind then."""
        try:
            yield
        except Busy:
            pass
        except (EdgekitError, OSError) as error:
            if what not in self._said:
                log.error(
                    "can't %s %s %s in its watch window: %s; the user that serves must be able to "
                    "write %s",
                    what,
                    self.slot.variant,
                    self.slot.version,
                    error,
                    self._store.root,
                )
            self._said.add(what)


def _reason(slot: Slot, reply: Checked | Unanswered) -> str | None:
    """Return why a slot that answered so should not serve, or None."""
    return reply.problem.message if isinstance(reply, Unanswered) else ailment(slot, reply.health)
