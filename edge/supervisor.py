"""The front's side of a worker: start it, ask it, start it again when it dies, replace it when the slot changes."""

import asyncio
import contextlib
import itertools
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil

from edgekit.edge.pointer import SlotRef
from edgekit.edge.store import Store
from edgekit.edge.watch import GivenUp, Window
from edgekit.edge.wire import (
    HEADER,
    Answer,
    Ask,
    Check,
    Checked,
    Hello,
    Problem,
    body_size,
    pack_frame,
    unpack_frame,
)
from edgekit.errors import EdgekitError, Misfit, Refused

REQUEST_SECONDS = 60.0  # for one answer; a worker that takes longer is taken to hang
FIRST_PAUSE, LONGEST_PAUSE = (
    0.2,
    2.0,
)  # seconds between starts of a worker that keeps dying; requests wait longer
LONG_LIFE = 5.0  # seconds that a worker has to live for the next start to be at once
POLL_SECONDS = 1.0  # how often the pointer is looked at
PATIENCE_SECONDS = 5.0  # that a request waits for a worker that is being started
MAX_WAITING = 64  # requests; beyond it the front says 503
LOST = (asyncio.IncompleteReadError, ConnectionError, ValueError, msgspec.DecodeError)
UNSOUND = {
    Refused.exit_code: "its files are not what was deployed",
    Misfit.exit_code: "it answers its golden samples wrongly",
}


class Unavailable(EdgekitError):
    """No worker can answer now. is_unsound: its files are not what was deployed, or its answers are wrong."""

    def __init__(self, message: str, *, is_unsound: bool = False) -> None:
        super().__init__(message)
        self.is_unsound = is_unsound


class WorkerDied(Exception):
    """The worker went away with this request in flight."""


class Worker:
    """One running process and the requests in flight."""

    def __init__(self, folder: Path, slot: SlotRef) -> None:
        self.slot = slot
        self.hello: Hello | None = None
        self._folder = folder
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Answer | Problem | Checked]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.died = asyncio.Event()

    async def start(self, seconds: float) -> None:
        """Start the process and wait until it says hello; raises Unavailable if it does not in so many seconds."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "edgekit.edge.worker", str(self._folder), self.slot.slot_sha256, str(theirs.fileno()),
                pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        try:
            frame = await asyncio.wait_for(_next_frame(reader), seconds)
        except (TimeoutError, *LOST) as error:
            if isinstance(error, TimeoutError):
                self.kill()
            await self.stop()
            code = self._process.returncode or 0
            why = f"it took longer than {seconds:g} s" if isinstance(error, TimeoutError) else _ending(code)
            raise Unavailable(
                f"{self.slot.variant} {self.slot.version} does not start: {why}", is_unsound=code in UNSOUND
            ) from None
        assert isinstance(frame, Hello)  # noqa: S101 - both ends are ours
        self.hello = frame
        self._reading = asyncio.create_task(self._read(reader))

    async def ask(self, inputs: list[Any]) -> Answer | Problem:
        """One request; raises WorkerDied if the process dies over it, Unavailable if it hangs."""
        reply = await self._call(Ask(id=next(self._ids), inputs=inputs))
        assert not isinstance(reply, Checked)  # noqa: S101 - both ends are ours
        return reply

    async def check(self) -> Checked | Problem:
        """The golden samples once more; raises as `ask` does."""
        reply = await self._call(Check(id=next(self._ids)))
        assert not isinstance(reply, Answer)  # noqa: S101 - both ends are ours
        return reply

    async def _call(self, frame: Ask | Check) -> Answer | Problem | Checked:
        if self._writer is None or self.died.is_set():
            raise WorkerDied
        future: asyncio.Future[Answer | Problem | Checked] = asyncio.get_running_loop().create_future()
        self._waiting[frame.id] = future
        try:
            self._writer.write(pack_frame(frame))
            await self._writer.drain()
            return await asyncio.wait_for(future, REQUEST_SECONDS)
        except ConnectionError:
            raise WorkerDied from None
        except TimeoutError:
            self.kill()
            raise Unavailable("the model hangs on this request") from None
        finally:
            self._waiting.pop(frame.id, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                frame = await _next_frame(reader)
                if (
                    isinstance(frame, Answer | Problem | Checked)
                    and (future := self._waiting.get(frame.id))
                    and not future.done()
                ):
                    future.set_result(frame)
        except LOST:
            pass  # it is gone, or talks nonsense, which is the same
        finally:
            self.kill()
            self.died.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(WorkerDied())

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        """Close the line, which ends the worker; kill it if it does not go."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reading is not None:
            await self._reading

    @property
    def memory_bytes(self) -> int:
        """What the process holds now; 0 if it is gone."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss) if self._process else 0
        except psutil.Error:
            return 0

    @property
    def labels(self) -> list[str]:
        """The labels that its probabilities are of."""
        return self.hello.labels if self.hello else []

    @property
    def in_flight(self) -> int:
        """Requests that wait for an answer."""
        return len(self._waiting)


def _ending(code: int) -> str:
    """How a worker ended that did not say hello."""
    if code < 0:
        return f"it crashed with {signal.Signals(-code).name}"
    return UNSOUND.get(code, f"it ended with exit code {code}")


async def _next_frame(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401 - a Frame; the caller knows which
    header = await reader.readexactly(HEADER)
    return unpack_frame(await reader.readexactly(body_size(header)))


class Pauses:
    """Before each start: none after a worker that has lived for a while, and else longer and longer."""

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
        self._waiting = 0
        self._one_by_one = asyncio.Lock()

    @property
    def worker(self) -> Worker | None:
        """The worker that answers now, or None while there is none."""
        worker = self._worker
        return None if worker is None or worker.died.is_set() else worker

    async def start(self) -> None:
        """Start the first worker, of the slot before if need be (else raises Unavailable), and keep watch from then on."""
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
        if self._window is not None and self.worker is not None:
            self._window.stopped()
        if self._worker is not None:
            await self._worker.stop()
        await asyncio.gather(*self._retiring)

    async def ask(self, inputs: list[Any]) -> tuple[Worker, Answer | Problem]:
        """An answer, and the worker that gave it.

        A request that is in flight when the worker dies is asked once more, alone, so that one that kills takes no
        other along twice. Raises Unavailable.
        """
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many requests are waiting")
        self._waiting += 1
        try:
            with contextlib.suppress(WorkerDied):
                worker = await self._healthy()
                return worker, await worker.ask(inputs)
            async with self._one_by_one:
                worker = await self._healthy()
                return worker, await worker.ask(inputs)
        except WorkerDied:
            raise Unavailable("the worker died twice over this request") from None
        finally:
            self._waiting -= 1

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
        """A worker of the window's slot. Until it is up, which may take long, the slot before goes on answering."""
        worker = self._new(window.slot)
        starting = asyncio.create_task(worker.start(window.start_seconds))
        try:
            while not starting.done():
                await asyncio.wait({starting}, timeout=POLL_SECONDS)
                await self._stand_in(window.slot)
            await starting
        except BaseException:
            starting.cancel()
            worker.kill()
            raise
        return worker

    async def _stand_in(self, coming: SlotRef) -> None:
        """Start the slot before once more if its worker has died: with two models in memory it well may."""
        old, pointer = self._worker, self._store.pointer(self.model)
        if old is None or pointer is None or not old.died.is_set() or old.slot == coming:
            return
        if pointer.given_up and pointer.given_up.slot == old.slot:
            return  # it was killed for its wrong answers
        again = self._new(old.slot)
        with contextlib.suppress(Unavailable):
            await again.start(REQUEST_SECONDS)
            self._replace(again)

    def _replace(self, worker: Worker) -> None:
        """From now on this one answers; the one before finishes what it has."""
        old, self._worker = self._worker, worker
        if old is not None:
            task = asyncio.create_task(_retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _keep(self, window: Window) -> None:
        """Replace the worker when it dies or when another slot is current; the old one serves until the new one can."""
        pauses = Pauses()
        refused: SlotRef | None = None
        while True:
            old = self._worker
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(old.died.wait() if old else asyncio.sleep(FIRST_PAUSE), POLL_SECONDS)
            try:
                wanted = self._store.serving(self.model).slot
                if wanted != window.slot:
                    window, refused = Window(self._store, self.model), None
                    self._window = window
                if self.worker is not None and wanted in (self.worker.slot, refused):
                    if wanted == self.worker.slot:
                        await window.look_at(self.worker)
                    continue
                await pauses.before_start()
                window.starting()
                self._replace(await self._started(window))
                refused = None
                pauses.up()
            except WorkerDied:
                pass  # over its golden samples; the next turn starts another
            except (EdgekitError, OSError) as error:  # no memory for a process, a pointer that can't be read
                print(f"edgekit: {error}", file=sys.stderr)
                refused = None if window.is_open else window.slot
                if isinstance(error, Unavailable):  # for all else the model can't be blamed
                    window.failed(str(error), is_unsound=error.is_unsound)
                await asyncio.sleep(FIRST_PAUSE)


async def _retire(worker: Worker) -> None:
    """Let a worker finish what it has, for a while, and end it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REQUEST_SECONDS):
            while worker.in_flight and not worker.died.is_set():
                await asyncio.sleep(0.05)
    await worker.stop()
