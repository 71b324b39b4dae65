"""The front's end of one worker process: start it, hand it requests, notice its end."""

import asyncio
import contextlib
import itertools
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.worker.messages import (
    FROM_FRONT,
    FROM_WORKER,
    Answer,
    Ask,
    Cancel,
    Check,
    Checked,
    FromFront,
    Hello,
    NotStarted,
    Unanswered,
)
from edgekit.errors import Unavailable
from edgekit.frames import Garbled, greeting, read_greeting_async
from edgekit.launch import start as launch

HANG_SECONDS = (
    60.0  # without a word, while something is asked; a worker that is silent so long hangs
)
WAIT_SECONDS = 60.0  # for one answer, its turn included
GOODBYE_SECONDS = 5.0  # that a worker has to end when its line is closed
LOST = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, Garbled)
UNSOUND = {
    "Refused": "its files are not what was deployed",
    "Misfit": "it answers its golden samples wrongly",
}
Reply = Answer | Unanswered | Checked


class WorkerDied(Exception):
    """The worker went away with this request in flight."""


class Worker:
    """One running process and the requests in flight.

    is_too_large: it was killed for its memory, so what it was asked is not asked again.
    """

    def __init__(self, folder: Path, slot: SlotRef) -> None:
        self.slot = slot
        self.hello: Hello | None = None
        self.is_too_large = False
        self.died = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self._folder = folder
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._heard = 0.0

    async def start(self, seconds: float) -> None:
        """Start the process and wait until it says hello; raises Unavailable if it does not."""
        ours, theirs = socket.socketpair()
        with theirs:
            handle = theirs.fileno()
            self._process = launch(
                "edgekit.edge.worker.process:main",
                [str(self._folder), self.slot.slot_sha256, str(handle)],
                profile="worker",
                pass_fds=(handle,),
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._writer.write(greeting())
        try:
            async with asyncio.timeout(seconds):
                await read_greeting_async(reader)
                frame = await FROM_WORKER.read_async(reader)
            if not isinstance(frame, Hello):
                raise _refusal(self.slot, frame)
        except (TimeoutError, Unavailable, *LOST) as error:
            if not isinstance(error, Unavailable):
                self.kill()
            await self.stop()
            raise await self._why_not(error, seconds) from None
        self.hello = frame
        self._heard = time.monotonic()
        self._reading = asyncio.create_task(self._read(reader))
        self._watching = asyncio.create_task(self._watch())

    async def _why_not(self, error: Exception, seconds: float) -> Unavailable:
        """Return the error that says why no hello came."""
        if isinstance(error, Unavailable):
            return error
        if isinstance(error, TimeoutError):
            why = f"it took longer than {seconds:g} s"
        elif isinstance(error, Garbled):
            why = f"{error}; was edgekit updated under this server? start it again"
        else:
            why = _ending(self._process.returncode or 0 if self._process else 0)
        return Unavailable(f"{self.slot.variant} {self.slot.version} does not start: {why}")

    async def ask(self, inputs: list[Any], owner: str, *, alone: bool) -> Answer | Unanswered:
        """Ask for predictions.

        owner: whose request it is. alone: it is joined with no other. Raises WorkerDied if the
        process dies over it or hangs, Unavailable if it never comes to its turn.
        """
        frame = Ask(id=next(self._ids), inputs=inputs, owner=owner, alone=alone)
        reply = await self._call(frame, WAIT_SECONDS)
        assert not isinstance(reply, Checked)  # noqa: S101 - both ends are ours
        return reply

    async def check(self) -> Checked | Unanswered:
        """Let it answer the golden samples once more, before what waits; raises as `ask` does."""
        reply = await self._call(Check(id=next(self._ids)), 2 * WAIT_SECONDS)
        assert not isinstance(reply, Answer)  # noqa: S101 - both ends are ours
        return reply

    async def _call(self, frame: Ask | Check, seconds: float) -> Reply:
        if self._writer is None or self.died.is_set():
            raise WorkerDied
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._heard = time.monotonic()  # its silence while nothing was asked says nothing
        self._waiting[frame.id] = future
        self.idle.clear()
        try:
            await self._send(frame)
            async with asyncio.timeout(seconds):
                return await future
        except ConnectionError:
            # Its end of the line is closed. Whoever asks again must not be handed this worker, even
            # if its last words are not read yet.
            self.kill()
            self.died.set()
            raise WorkerDied from None
        except TimeoutError:
            raise Unavailable("too many requests are waiting") from None
        finally:
            del self._waiting[frame.id]
            if not future.done() or future.cancelled():
                await self._forget(frame.id)
            if not self._waiting:
                self.idle.set()

    async def _forget(self, number: int) -> None:
        """Tell the worker that nobody waits for this any more: the client went away, or gave up."""
        if not self.died.is_set():
            with contextlib.suppress(ConnectionError):
                await self._send(Cancel(id=number))

    async def _send(self, frame: FromFront) -> None:
        assert self._writer is not None  # noqa: S101 - callers come after `start`
        self._writer.write(FROM_FRONT.pack(frame))
        await self._writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(*LOST):  # it is gone, or talks nonsense, which is the same
            while True:
                frame = await FROM_WORKER.read_async(reader)
                self._heard = time.monotonic()
                if isinstance(frame, Answer | Unanswered | Checked):
                    future = self._waiting.get(frame.id)
                    if future is not None and not future.done():
                        future.set_result(frame)
                        if len(self._waiting) > 1:
                            # Let this one's answer go out before the next is unpacked: its client
                            # may ask again while the others' answers wait here.
                            await asyncio.sleep(0)
        self.kill()
        self.died.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerDied())

    async def _watch(self) -> None:
        """Kill the process when it says nothing for long while something is asked."""
        while not self.died.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.died.wait(), HANG_SECONDS / 10)
            if self._waiting and time.monotonic() - self._heard > HANG_SECONDS:
                self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def stop(self) -> None:
        """Close the line, which ends the worker; kill it if it does not go."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            try:
                await asyncio.wait_for(asyncio.to_thread(self._process.wait), GOODBYE_SECONDS)
            except TimeoutError:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
        if self._reading is not None:
            await self._reading
        if self._watching is not None:
            await self._watching

    @property
    def start_memory_bytes(self) -> int:
        """The peak of the process when it said hello; 0 before that."""
        return self.hello.memory_bytes if self.hello else 0

    @property
    def memory_bytes(self) -> int:
        """What the process holds now; 0 if it is gone."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss) if self._process else 0
        except psutil.Error:
            return 0


def _refusal(slot: SlotRef, frame: object) -> Unavailable:
    """Return the error of a worker that said something else than hello."""
    assert isinstance(frame, NotStarted)  # noqa: S101 - both ends are ours
    kind = frame.problem.kind
    why = UNSOUND.get(kind, frame.problem.message)
    return Unavailable(
        f"{slot.variant} {slot.version} does not start: {why}", is_unsound=kind in UNSOUND
    )


def _ending(code: int) -> str:
    """Return in words how a worker ended that did not say hello."""
    if code < 0:
        return f"it crashed with {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"
