"""A step in a process of its own: an engine that crashes takes down a variant, never a build.

`run_job("package.module:function", request)` starts a fresh interpreter, gives it the request, and
returns what the function returns. Progress and the result come back as frames on a pipe of their
own; whatever libraries print goes to the log file. Paths in a request are absolute: a job runs in a
scratch folder.
"""

import contextlib
import importlib
import os
import signal
import subprocess
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from edgekit.errors import JobFailed, MissingPackage
from edgekit.frames import Garbled, Messages, greeting, read_greeting
from edgekit.launch import start
from edgekit.problems import Problem, error_of, problem_of

Progress = Callable[[str, float], None]  # what is being done, and the share that is done (0 to 1)


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """The request, which the child gets on its standard input."""

    request: Any


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told"):
    """How far the job is."""

    what: str
    share: float


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """What the function returned."""

    value: Any


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """An error that is not ours: its class and the first line of its text."""

    reason: str


Frame = Asked | Told | Result | Failed | Problem
MESSAGES: Messages[Frame] = Messages(Frame)
LONGEST_SECONDS = 4 * 3600.0  # a job that takes longer is taken to hang


def run_job(
    function: str,
    request: Mapping[str, object],
    log: Path,
    progress: Progress | None = None,
    seconds: float = LONGEST_SECONDS,
    profile: str = "build",
) -> Any:  # noqa: ANN401
    """Call `function(request, progress)` in a fresh process and return its result.

    profile: of the sandbox (see edgekit.sandbox). Raises the EdgekitError that the function raised;
    OSError ENOSPC for a full disk; JobFailed, with the signal's name, for everything else, a job
    that takes longer than `seconds` among it. Ctrl-C here ends the job as well.
    """
    reading, writing = os.pipe()
    # Libraries drop temporary files where they stand: in a folder that goes away with the job.
    with log.open("ab") as output, tempfile.TemporaryDirectory(prefix="edgekit-job-") as scratch:
        with os.fdopen(writing, "wb"):  # our copy of the child's end
            process = start(
                "edgekit.job:serve_job",
                [function, str(writing)],
                profile=profile,
                pass_fds=(writing,),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=Path(scratch),
                new_session=True,
            )
        late = threading.Event()
        watchdog = threading.Timer(seconds, _stop_late, (process, late))
        watchdog.daemon = True
        watchdog.start()
        try:
            assert process.stdin  # noqa: S101 - we asked for a pipe
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(greeting() + MESSAGES.pack(Asked(request=request)))
            with os.fdopen(reading, "rb") as answers:
                ending = _listen(answers, progress)
            code = process.wait()
        finally:
            watchdog.cancel()
            _kill(process)
    if late.is_set():
        raise JobFailed(f"took longer than {seconds:.0f} s and was stopped", log=log)
    return _conclude(ending, code, log)


def _stop_late(process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    late.set()
    _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the job and whatever it started, unless it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listen(pipe: BinaryIO, progress: Progress | None) -> Frame | None:
    """Hand progress on until the pipe closes; return the last other message, or None."""
    ending: Frame | None = None
    try:
        frame = MESSAGES.read(pipe) if read_greeting(pipe) else None
        while frame is not None:
            if not isinstance(frame, Told):
                ending = frame
            elif progress:
                progress(frame.what, frame.share)
            frame = MESSAGES.read(pipe)
    except Garbled as error:
        return Failed(reason=f"its answer can't be read: {error}")
    return ending


def _conclude(ending: Frame | None, code: int, log: Path) -> Any:  # noqa: ANN401
    if code < 0:
        name = signal.Signals(-code).name
        raise JobFailed(f"crashed with {name}", name, log)
    if isinstance(ending, Result):
        return ending.value
    if isinstance(ending, Problem):
        raise error_of(ending)
    reason = ending.reason if isinstance(ending, Failed) else f"ended with exit code {code}"
    raise JobFailed(reason, log=log)


def serve_job(arguments: Sequence[str]) -> None:
    """Be the child: call the function with the request on standard input, and say how it ended."""
    function, handle = arguments[0], int(arguments[1])
    with os.fdopen(handle, "wb") as pipe, os.fdopen(0, "rb", closefd=False) as stdin:

        def tell(frame: Frame) -> None:
            pipe.write(MESSAGES.pack(frame))
            pipe.flush()

        pipe.write(greeting())
        asked = MESSAGES.read(stdin) if read_greeting(stdin) else None
        if not isinstance(asked, Asked):
            return  # the parent died before it had asked
        try:
            module, name = function.split(":")
            work = getattr(importlib.import_module(module), name)
            value = work(asked.request, lambda what, share: tell(Told(what=what, share=share)))
            tell(Result(value=value))
        except Exception as error:  # noqa: BLE001 - the boundary: a library may raise anything
            tell(_ending(error))


def _ending(error: Exception) -> Frame:
    """Return the frame that says how a job failed, and print a foreign error's traceback."""
    if isinstance(error, ModuleNotFoundError):
        error = MissingPackage.of(str(error.name), "build")
    if problem := problem_of(error):
        return problem
    traceback.print_exception(error)
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return Failed(reason=f"{type(error).__name__}: {first}")
