"""What every process of ours that touches payload asks of the kernel."""

import ctypes
import resource
import signal
import sys


def die_with_parent() -> None:
    """Be killed when the parent dies, so that a killed build or server leaves nothing running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def write_no_core() -> None:
    """A core file would hold payload."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
