"""The front's side of a worker: start it, ask it, start it again when it dies, replace it when the
slot changes.
"""

import asyncio
import contextlib
import sys
import time
from typing import Any

from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.serving.watch_window import GivenUp, Window
from edgekit.edge.worker.handle import REQUEST_SECONDS, Unavailable, Worker, WorkerDied
from edgekit.edge.worker.messages import Answer, Problem
from edgekit.errors import EdgekitError

# Seconds between starts of a worker that keeps dying; requests wait longer.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
LONG_LIFE = 5.0  # seconds that a worker has to live for the next start to be at once
POLL_SECONDS = 1.0  # how often the pointer is looked at
PATIENCE_SECONDS = 5.0  # that a request waits for a worker that is being started
TRIES_BESIDE = 3  # starts of the next slot's worker beside the one before; then that makes room
MAX_WAITING, MAX_WAITING_BYTES = 64, 64 << 20  # requests; beyond it the front says 503


class Pauses:
    """Before each start: none after a worker that has lived for a while, and else longer and
    longer.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._up: float | None = time.monotonic()

    def up(self) -> None:
        """A worker has said hello."""
        self._up = time.monotonic()

    async def before_start(self) -> None:
        """Wait."""
        if self._up is not None and time.monotonic() - self._up > LONG_LIFE:
            self._seconds = 0.0
        self._up = None
        await asyncio.sleep(self._seconds)
        self._seconds = min(max(2 * self._seconds, FIRST_PAUSE), LONGEST_PAUSE)


class Supervisor:
    """Keeps one healthy worker on the slot that the store's pointer names."""

    def __init__(self, store: Store, model: str) -> None:
        self.model = model
        self._store = store
        self._worker: Worker | None = None
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
        """Start the first worker, of the slot before if need be (else raises Unavailable), and keep
        watch from then on.
        """
        while True:
            window = Window(self._store, self.model)
            try:
                window.starting()
                self._worker = await self._started(window)
                break
            except GivenUp as error:
                print(f"edgekit: {error}", file=sys.stderr)
            except Unavailable as error:
                if not window.failed(str(error), is_unsound=error.is_unsound):
                    raise
                print(f"edgekit: {error}", file=sys.stderr)
                await asyncio.sleep(FIRST_PAUSE)
        self._window = window
        self._keeper = asyncio.create_task(self._keep(window))

    async def stop(self) -> None:
        """End everything."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if (
            self._window is not None
            and self.worker is not None
            and self.worker.slot == self._window.slot
        ):
            self._window.stopped()
        if self._worker is not None:
            await self._worker.stop()
        await asyncio.gather(*self._retiring)

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet."""
        return self._waiting

    async def ask(self, inputs: list[Any], size: int = 0) -> tuple[Worker, Answer | Problem]:
        """An answer, and the worker that gave it. size: of the request, in bytes.

        A request that is in flight when the worker dies is asked once more, alone, so that one that
        kills takes no other along twice; but not if the worker was killed for its memory, which the
        request may have filled. Raises Unavailable.
        """
        is_full = self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES
        if self._waiting and is_full:
            raise Unavailable("too many requests are waiting")
        self._waiting += 1
        self._waiting_bytes += size
        try:
            worker = await self._healthy()
            try:
                return worker, await worker.ask(inputs)
            except WorkerDied:
                if worker.is_too_large:
                    raise Unavailable("the worker grew too large and was ended") from None
            async with self._one_by_one:
                worker = await self._healthy()
                return worker, await worker.ask(inputs)
        except WorkerDied:
            raise Unavailable("the worker died twice over this request") from None
        finally:
            self._waiting -= 1
            self._waiting_bytes -= size

    async def _healthy(self) -> Worker:
        """The worker, waited for while another one starts; raises Unavailable."""
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            if worker := self.worker:
                return worker
            await asyncio.sleep(0.05)
        raise Unavailable("no worker can answer now")

    def _new(self, slot: SlotRef) -> Worker:
        return Worker(self._store.slot_folder(self.model, slot).resolve(), slot)

    async def _started(self, window: Window) -> Worker:
        """A worker of the window's slot. Until it is up, which may take long, the slot before goes
        on answering.
        """
        worker = self._new(window.slot)
        starting = asyncio.create_task(worker.start(window.start_seconds))
        try:
            while not starting.done():
                await asyncio.wait({starting}, timeout=POLL_SECONDS)
                await self._stand_in(window.slot)
            await starting
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                window.stopped()  # we were told to stop: that start says nothing against the slot
            starting.cancel()
            worker.kill()
            raise
        return worker

    async def _stand_in(self, coming: SlotRef) -> None:
        """Start the slot before once more if its worker has died: with two models in memory it well
        may.
        """
        old, pointer = self._worker, self._store.pointer(self.model)
        if old is None or pointer is None or not old.died.is_set() or old.slot == coming:
            return
        if pointer.given_up and pointer.given_up.slot == old.slot:
            return  # it was killed for its wrong answers
        again = self._new(old.slot)
        with contextlib.suppress(Unavailable):
            await again.start(REQUEST_SECONDS)
            self._replace(again)

    def _replace(self, worker: Worker | None) -> None:
        """From now on this one answers, or none; the one before finishes what it has."""
        old, self._worker = self._worker, worker
        if old is not None:
            task = asyncio.create_task(_retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _keep(self, window: Window) -> None:
        """Replace the worker when it dies or when another slot is current; the old one serves until
        the new one can.
        """
        pauses, tries = Pauses(), 0
        while True:
            old = self._worker
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    old.died.wait() if old else asyncio.sleep(FIRST_PAUSE), POLL_SECONDS
                )
            try:
                wanted = self._wanted()
                if wanted is None:
                    self._say(f"{self.model} is not in the store any more: nothing is served")
                    self._replace(None)
                    continue
                if wanted != window.slot:
                    window, tries = Window(self._store, self.model), 0
                    self._window = window
                if self.worker is not None and self.worker.slot == wanted:
                    await window.look_at(self.worker)
                    continue
                await pauses.before_start()
                if self._worker is not None and tries >= TRIES_BESIDE:
                    self._say(f"{self._worker.slot.version} makes room for {wanted.version}")
                    self._replace(None)
                tries += 1
                window.starting()
                self._replace(await self._started(window))
                tries, self._said = 0, ""
                pauses.up()
            except WorkerDied:
                pass  # over its golden samples; the next turn starts another
            # no memory for a process, a pointer that can't be read
            except (EdgekitError, OSError) as error:
                self._say(str(error))
                if isinstance(error, Unavailable):  # for all else the model can't be blamed
                    window.failed(str(error), is_unsound=error.is_unsound)
                await asyncio.sleep(FIRST_PAUSE)

    def _wanted(self) -> SlotRef | None:
        """What is to serve; None if the model is not there any more, or only staged. Raises
        InputError.
        """
        pointer = self._store.pointer(self.model)
        return pointer.current if pointer else None

    def _say(self, text: str) -> None:
        """Once, and not each second."""
        if text != self._said:
            print(f"edgekit: {text}", file=sys.stderr)
        self._said = text


async def _retire(worker: Worker) -> None:
    """Let a worker finish what it has, for a while, and end it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REQUEST_SECONDS):
            while worker.in_flight and not worker.died.is_set():
                await asyncio.sleep(0.05)
    await worker.stop()
