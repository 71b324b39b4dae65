"""A step in a process of its own: an engine that crashes takes down a variant, never a build or a
server.

`run_job("package.module:function", request)` starts a fresh interpreter, gives it the request as
JSON, and returns what the function returns. Progress and the result come back on a pipe of their
own; whatever libraries print goes to the log file. Paths in a request are absolute: a job runs in a
scratch folder.
"""

import contextlib
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgekit import errors
from edgekit.errors import EdgekitError, JobFailed, MissingPackage
from edgekit.offline import stay_offline
from edgekit.process import die_with_parent, write_no_core

Progress = Callable[[str, float], None]  # what is being done, and the share that is done (0 to 1)


LONGEST_SECONDS = 4 * 3600.0  # a job that takes longer is taken to hang


def run_job(
    function: str,
    request: Mapping[str, object],
    log: Path,
    progress: Progress | None = None,
    seconds: float = LONGEST_SECONDS,
) -> Any:  # noqa: ANN401
    """Call `function(request, progress)` in a fresh process and return its result (anything that
    JSON holds).

    Raises the EdgekitError that the function raised; OSError ENOSPC for a full disk; JobFailed,
    with the signal's name, for everything else, a job that takes longer than `seconds` among it.
    Ctrl-C here ends the job as well.
    """
    reading, writing = os.pipe()
    # Libraries drop temporary files where they stand: in a folder that goes away with the job.
    with log.open("ab") as output, tempfile.TemporaryDirectory(prefix="edgekit-job-") as scratch:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgekit.job", function, str(writing)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(writing,),
            cwd=scratch,
            start_new_session=True,
        )
        os.close(writing)
        late = threading.Event()
        watchdog = threading.Timer(seconds, _stop_late, (process, late))
        watchdog.daemon = True
        watchdog.start()
        try:
            assert process.stdin  # noqa: S101 - we asked for a pipe
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(request).encode())
            ending = _listen(reading, progress)
            code = process.wait()
        finally:
            watchdog.cancel()
            _kill(process)
    if late.is_set():
        raise JobFailed(f"took longer than {seconds:.0f} s and was stopped; its output is in {log}")
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


def _listen(reading: int, progress: Progress | None) -> dict[str, Any]:
    """Hand progress on until the pipe closes; the last message that is not progress is the
    ending.
    """
    ending: dict[str, Any] = {}
    with os.fdopen(reading, "rb") as messages:
        for line in messages:
            if not line.endswith(b"\n"):
                break  # killed in the middle of a word
            message = json.loads(line)
            if "share" not in message:
                ending = message
            elif progress:
                progress(message["what"], message["share"])
    return ending


def _conclude(ending: dict[str, Any], code: int, log: Path) -> Any:  # noqa: ANN401
    if code < 0:
        name = signal.Signals(-code).name
        raise JobFailed(f"crashed with {name}; its output is in {log}", name)
    if "result" in ending:
        return ending["result"]
    if "full" in ending:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ending["full"])
    if "kind" in ending:
        raise getattr(errors, ending["kind"])(ending["message"])
    raise JobFailed(
        f"{ending.get('message', f'ended with exit code {code}')}; its output is in {log}"
    )


def main() -> None:
    """The child: `python -m edgekit.job module:function FD`, the request on standard input."""
    function, handle = sys.argv[1], int(sys.argv[2])
    die_with_parent()
    write_no_core()
    stay_offline()
    with os.fdopen(handle, "w") as pipe:

        def tell(message: Mapping[str, object]) -> None:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()

        request = json.loads(sys.stdin.buffer.read())
        try:
            module, name = function.split(":")
            work = getattr(importlib.import_module(module), name)
            tell(
                {"result": work(request, lambda what, share: tell({"what": what, "share": share}))}
            )
        except EdgekitError as error:
            tell({"kind": type(error).__name__, "message": str(error)})
        except ModuleNotFoundError as error:
            missing = MissingPackage.of(str(error.name), "build")
            tell({"kind": "MissingPackage", "message": str(missing)})
        except Exception as error:  # noqa: BLE001 - the boundary: a library may raise anything
            traceback.print_exc()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                tell({"full": str(error.filename or Path.cwd())})
            else:
                first = (str(error).strip().splitlines() or [""])[0][:200]
                tell({"message": f"{type(error).__name__}: {first}"})


if __name__ == "__main__":
    main()
