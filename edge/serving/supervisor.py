"""Keeps one worker answering: starts it, asks it, starts it again when it dies or the slot changes.

Nothing here blocks the event loop: whatever reads or writes the store runs on a thread.
"""

import asyncio
import contextlib
import time
from typing import Any

from edgekit import log
from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.serving.watch_window import Window
from edgekit.edge.worker.handle import HANG_SECONDS, Worker, WorkerDied
from edgekit.edge.worker.messages import Answer, Unanswered
from edgekit.errors import EdgekitError, GivenUp, Unavailable

# Seconds between starts of a worker that keeps dying; requests wait longer.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
LONG_LIFE = 5.0  # seconds that a worker has to live for the next start to be at once
POLL_SECONDS = 1.0  # how often the pointer is looked at
PATIENCE_SECONDS = 5.0  # that a request waits for a worker that is being started
# Starts of the next slot's worker beside the one before; then that makes room.
TRIES_BESIDE = 3
MAX_WAITING, MAX_WAITING_BYTES = 64, 64 << 20  # requests; beyond it the front says 503


class Pauses:
    """The delay before a start: none after LONG_LIFE, else doubling up to LONGEST_PAUSE."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._up: float | None = time.monotonic()

    def up(self) -> None:
        """Note that a worker has said hello."""
        self._up = time.monotonic()

    async def before_start(self) -> None:
        """Wait for as long as the next start is to be held back."""
        if self._up is not None and time.monotonic() - self._up > LONG_LIFE:
            self._seconds = 0.0
        self._up = None
        await asyncio.sleep(self._seconds)
        self._seconds = min(max(2 * self._seconds, FIRST_PAUSE), LONGEST_PAUSE)


class Supervisor:
    """Keeps one healthy worker on the slot that the store's pointer names."""

    def __init__(self, store: Store, model: str) -> None:
        self.model = model
        self.idle = asyncio.Event()  # set while no request waits
        self.idle.set()
        self._store = store
        self._worker: Worker | None = None
        self._replaced = asyncio.Event()
        self._window: Window | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._waiting = self._waiting_bytes = 0
        self._said = ""
        self._one_by_one = asyncio.Lock()

    @property
    def worker(self) -> Worker | None:
        """The worker that answers now, or None while there is none."""
        worker = self._worker
        return None if worker is None or worker.died.is_set() else worker

    async def start(self) -> None:
        """Start the first worker, and keep watch from then on.

        Where the current slot fails in its watch window, the slot before is started. Raises
        Unavailable if none starts.
        """
        while True:
            window = await asyncio.to_thread(Window, self._store, self.model)
            try:
                await asyncio.to_thread(window.starting)
                self._worker = await self._started(window)
                break
            except GivenUp as error:
                log.warning("%s", error)
            except Unavailable as error:
                if not await asyncio.to_thread(
                    window.failed, str(error), is_unsound=error.is_unsound
                ):
                    raise
                log.warning("%s", error)
                await asyncio.sleep(FIRST_PAUSE)
        self._window = window
        self._keeper = asyncio.create_task(self._keep(window))

    async def stop(self) -> None:
        """End the worker and whatever watches it."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        window, worker = self._window, self.worker
        if window is not None and worker is not None and worker.slot == window.slot:
            await asyncio.to_thread(window.stopped)
        if self._worker is not None:
            await self._worker.stop()
        await asyncio.gather(*self._retiring)

    async def ask(
        self, inputs: list[Any], size: int = 0, owner: str = ""
    ) -> tuple[Worker, Answer | Unanswered]:
        """Return an answer, and the worker that gave it.

        size: of the request, in bytes. owner: whose request it is; owners take turns. A request
        that is in flight when the worker dies is asked once more, alone, so that one that kills
        takes no other along twice; but not if the worker was killed for its memory, which the
        request may have filled. Raises Unavailable.
        """
        is_full = self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES
        if self._waiting and is_full:
            raise Unavailable("too many requests are waiting")
        self._waiting += 1
        self._waiting_bytes += size
        self.idle.clear()
        try:
            worker = await self._healthy()
            try:
                return worker, await worker.ask(inputs, owner, alone=False)
            except WorkerDied:
                if worker.is_too_large:
                    raise Unavailable("the worker grew too large and was ended") from None
            async with self._one_by_one:
                worker = await self._healthy()
                return worker, await worker.ask(inputs, owner, alone=True)
        except WorkerDied:
            raise Unavailable("the worker died twice over this request") from None
        finally:
            self._waiting -= 1
            self._waiting_bytes -= size
            if not self._waiting:
                self.idle.set()

    async def _healthy(self) -> Worker:
        """Return the worker, waited for while another one starts; raises Unavailable."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    if worker := self.worker:
                        return worker
                    self._replaced.clear()
                    await self._replaced.wait()
        raise Unavailable("no worker can answer now")

    def _new(self, slot: SlotRef) -> Worker:
        return Worker(self._store.slot_folder(self.model, slot).resolve(), slot)

    async def _started(self, window: Window) -> Worker:
        """Return a worker of the window's slot once it is up, which may take long.

        Until then the slot before goes on answering.
        """
        worker = self._new(window.slot)
        start_seconds = await asyncio.to_thread(window.start_seconds)
        starting = asyncio.create_task(worker.start(start_seconds))
        try:
            while not starting.done():
                await asyncio.wait({starting}, timeout=POLL_SECONDS)
                await self._stand_in(window.slot)
            await starting
        except BaseException as error:
            starting.cancel()
            worker.kill()
            if isinstance(error, asyncio.CancelledError):
                # We were told to stop: that start says nothing against the slot.
                await asyncio.to_thread(window.stopped)
            raise
        return worker

    async def _stand_in(self, coming: SlotRef) -> None:
        """Start the slot before again if its worker died: with two in memory it may."""
        old = self._worker
        if old is None or not old.died.is_set() or old.slot == coming:
            return
        pointer = await asyncio.to_thread(self._store.pointer, self.model)
        if pointer is None:
            return
        if pointer.given_up and pointer.given_up.slot == old.slot:
            return  # it was killed for its wrong answers
        again = self._new(old.slot)
        with contextlib.suppress(Unavailable):
            await again.start(HANG_SECONDS)
            self._replace(again)

    def _replace(self, worker: Worker | None) -> None:
        """Let this worker answer from now on, or none; the one before finishes what it has."""
        old, self._worker = self._worker, worker
        self._replaced.set()
        if old is not None:
            task = asyncio.create_task(_retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _keep(self, window: Window) -> None:
        """Replace the worker when it dies or another slot is current; the old one serves on."""
        pauses, tries = Pauses(), 0
        while True:
            old = self._worker
            with contextlib.suppress(TimeoutError):
                died = old.died.wait() if old else asyncio.sleep(FIRST_PAUSE)
                await asyncio.wait_for(died, POLL_SECONDS)
            try:
                wanted = await asyncio.to_thread(self._wanted)
                if wanted is None:
                    self._say(f"{self.model} is not in the store any more: nothing is served")
                    self._replace(None)
                    continue
                if wanted != window.slot:
                    window = await asyncio.to_thread(Window, self._store, self.model)
                    self._window, tries = window, 0
                if self.worker is not None and self.worker.slot == wanted:
                    await window.look_at(self.worker)
                    continue
                await pauses.before_start()
                if self._worker is not None and tries >= TRIES_BESIDE:
                    self._say(f"{self._worker.slot.version} makes room for {wanted.version}")
                    self._replace(None)
                tries += 1
                await asyncio.to_thread(window.starting)
                self._replace(await self._started(window))
                tries, self._said = 0, ""
                pauses.up()
            except WorkerDied:
                pass  # over its golden samples; the next turn starts another
            except (EdgekitError, OSError) as error:
                # No memory for a process, a pointer that can't be read.
                self._say(str(error))
                if isinstance(error, Unavailable):  # for all else the model can't be blamed
                    await asyncio.to_thread(window.failed, str(error), is_unsound=error.is_unsound)
                await asyncio.sleep(FIRST_PAUSE)

    def _wanted(self) -> SlotRef | None:
        """Return what is to serve; None if the model is gone, or only staged. Raises InputError."""
        pointer = self._store.pointer(self.model)
        return pointer.current if pointer else None

    def _say(self, text: str) -> None:
        """Log a text once, and not each second."""
        if text != self._said:
            log.warning("%s", text)
        self._said = text


async def _retire(worker: Worker) -> None:
    """Let a worker finish what it has, for a while, and end it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HANG_SECONDS):
            idle, died = (asyncio.create_task(event.wait()) for event in (worker.idle, worker.died))
            try:
                await asyncio.wait({idle, died}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                idle.cancel()
                died.cancel()
    await worker.stop()
