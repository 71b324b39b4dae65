"""What a child process that touches a model or a payload may do, by the name of its profile.

Today a profile only ends a child with its parent, writes no core file and shuts telemetry; the
filters of system calls, files and sockets come here, and every launcher gets them at once.
"""

from typing import NamedTuple

from edgekit.offline import stay_offline
from edgekit.process import die_with_parent, write_no_core


class Profile(NamedTuple):
    """What a kind of child is for. Its rights will follow from it."""

    purpose: str


PROFILES = {
    "worker": Profile("answers requests with one slot, over one inherited socket"),
    "golden": Profile("answers a slot's golden samples, once"),
    "compile": Profile("compiles a slot for this device, and writes the result beside it"),
    "batch": Profile("reads one file, answers its rows with one slot, writes another file"),
    "predict": Profile("answers one input with one slot"),
    "build": Profile("a step of a build or of a measurement, on the workstation or the device"),
}


def enter(name: str) -> None:
    """Take on a profile, before the first byte of a model or an input is read."""
    PROFILES[name]
    die_with_parent()
    write_no_core()
    stay_offline()
