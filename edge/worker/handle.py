"""The front's side of one worker process: start it, hand it requests, notice its end."""

import asyncio
import contextlib
import itertools
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil

from edgekit.edge.appliance.pointer import SlotRef
from edgekit.edge.worker.messages import (
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
# requests for each stream: the one that it answers, and the next, so that it never waits for us
HANDED = 2
LOST = (asyncio.IncompleteReadError, ConnectionError, ValueError, msgspec.DecodeError)
UNSOUND = {
    Refused.exit_code: "its files are not what was deployed",
    Misfit.exit_code: "it answers its golden samples wrongly",
}


class Unavailable(EdgekitError):
    """No worker can answer now. is_unsound: its files are not what was deployed, or its answers are
    wrong.
    """

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
        self._turns = asyncio.Semaphore(HANDED)
        self._asked = 0
        self.is_too_large = False  # and killed for it, so what it was asked is not asked again
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.died = asyncio.Event()

    async def start(self, seconds: float) -> None:
        """Start the process and wait until it says hello; raises Unavailable if it does not in so
        many seconds.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "edgekit.edge.worker.process",
                str(self._folder),
                self.slot.slot_sha256,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        try:
            frame = await asyncio.wait_for(_next_frame(reader), seconds)
        except (TimeoutError, *LOST) as error:
            if isinstance(error, TimeoutError):
                self.kill()
            await self.stop()
            code = self._process.returncode or 0
            why = (
                f"it took longer than {seconds:g} s"
                if isinstance(error, TimeoutError)
                else _ending(code)
            )
            raise Unavailable(
                f"{self.slot.variant} {self.slot.version} does not start: {why}",
                is_unsound=code in UNSOUND,
            ) from None
        assert isinstance(frame, Hello)  # noqa: S101 - both ends are ours
        self.hello = frame
        self._turns = asyncio.Semaphore(HANDED * frame.streams)
        self._reading = asyncio.create_task(self._read(reader))

    async def ask(self, inputs: list[Any]) -> Answer | Problem:
        """One request; raises WorkerDied if the process dies over it, Unavailable if it hangs or
        never comes to its turn.

        Its time counts from when it is handed over: a crowd of requests says nothing against the
        worker.
        """
        self._asked += 1
        try:
            await asyncio.wait_for(self._turns.acquire(), REQUEST_SECONDS)
        except TimeoutError:
            raise Unavailable("too many requests are waiting") from None
        else:
            try:
                reply = await self._call(
                    Ask(id=next(self._ids), inputs=inputs), HANDED * REQUEST_SECONDS
                )
            finally:
                self._turns.release()
        finally:
            self._asked -= 1
        assert not isinstance(reply, Checked)  # noqa: S101 - both ends are ours
        return reply

    async def check(self) -> Checked | Problem:
        """The golden samples once more, before what has not had its turn yet; raises as `ask`
        does.
        """
        reply = await self._call(Check(id=next(self._ids)), (HANDED + 1) * REQUEST_SECONDS)
        assert not isinstance(reply, Answer)  # noqa: S101 - both ends are ours
        return reply

    async def _call(self, frame: Ask | Check, seconds: float) -> Answer | Problem | Checked:
        if self._writer is None or self.died.is_set():
            raise WorkerDied
        future: asyncio.Future[Answer | Problem | Checked] = (
            asyncio.get_running_loop().create_future()
        )
        self._waiting[frame.id] = future
        try:
            self._writer.write(pack_frame(frame))
            await self._writer.drain()
            return await asyncio.wait_for(future, seconds)
        except ConnectionError:
            raise WorkerDied from None
        except TimeoutError:
            self.kill()
            raise Unavailable("the model hangs on this request") from None
        finally:
            self._waiting.pop(frame.id, None)
            if future.done() and not future.cancelled():
                future.exception()  # looked at, or asyncio complains that nobody did

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
        """Requests that wait for an answer, or for their turn."""
        return self._asked


def _ending(code: int) -> str:
    """How a worker ended that did not say hello."""
    if code < 0:
        return f"it crashed with {signal.Signals(-code).name}"
    return UNSOUND.get(code, f"it ended with exit code {code}")


async def _next_frame(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401 - a Frame; the caller knows which
    header = await reader.readexactly(HEADER)
    return unpack_frame(await reader.readexactly(body_size(header)))
