"""What our processes ask of the kernel: no core file, no orphans, how much memory they took."""

import ctypes
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path


def die_with_parent() -> None:
    """Be killed when the parent dies, so that a killed build or server leaves nothing running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def write_no_core() -> None:
    """Switch core files off: one would hold payload."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak_memory() -> int:
    """Return this process's own peak of memory (VmHWM) in bytes.

    ru_maxrss would start from the parent's.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not report VmHWM")


def forget_peak_memory() -> None:
    """Let the peak start anew from what is held now (proc(5), clear_refs)."""
    with suppress(OSError):  # an old kernel: the peak is then too high, never too low
        Path("/proc/self/clear_refs").write_text("5")
