"""The one way to start a child process that touches a model or a payload.

    start("edgekit.edge.worker.process:main", ["SLOT", "7"], profile="worker", pass_fds=(7,))

The child is a fresh interpreter. It takes on its sandbox profile (see edgekit.sandbox) before it
imports the function's module, and calls `function(arguments)`.
"""

import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from edgekit.sandbox import PROFILES, enter

Stream = int | IO[bytes] | None


def start(  # noqa: PLR0913 - what a process is started with
    function: str,
    arguments: Sequence[str],
    *,
    profile: str,
    pass_fds: Sequence[int] = (),
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
    cwd: Path | None = None,
    new_session: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start `module:function` in a child, which ends with the thread that calls this.

    profile: a name in edgekit.sandbox.PROFILES.
    pass_fds: handles that the child inherits.
    new_session: the child gets a process group of its own, so that Ctrl-C does not reach it.
    """
    if profile not in PROFILES:
        raise ValueError(f"no sandbox profile is named {profile!r}")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "edgekit.launch", profile, function, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        cwd=cwd,
        start_new_session=new_session,
    )


def main() -> None:
    """Run the child: `python -m edgekit.launch PROFILE MODULE:FUNCTION ARGUMENT...`."""
    profile, function, *arguments = sys.argv[1:]
    enter(profile)
    module, name = function.split(":")
    getattr(importlib.import_module(module), name)(arguments)


if __name__ == "__main__":
    main()
