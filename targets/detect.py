"""What this machine is, and the device class that it belongs to.

Known of a machine: architecture, CPU features, cores, memory, accelerators.
"""

import platform
import re
from pathlib import Path

import psutil

from edgekit.errors import InputError
from edgekit.nouns import Noun
from edgekit.targets import Target, all_targets

ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

# The CPU features that decide which precision is fast and which is right, of the hundred that Linux
# lists.
RELEVANT = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "asimdhp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
)
BF16 = ("avx512_bf16", "amx_bf16")


class Machine(Noun, frozen=True, kw_only=True):
    """This machine, as far as it matters to a model."""

    architecture: str
    cpu: str
    cores: int
    isa: tuple[str, ...]
    memory_bytes: int
    board: str  # of an embedded device, such as a Jetson's; "" elsewhere
    accelerators: tuple[str, ...]
    ghz: float | None = None  # of the first core, now

    @property
    def description(self) -> str:
        """The machine in one line, for evidence."""
        return (
            f"{self.board or self.cpu}, {self.cores} cores, {self.architecture},"
            f" {' '.join(self.isa)}"
        )


def detect_machine() -> Machine:
    """Look at /proc, /sys and /dev; Linux only for CPU features."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise InputError(f"this machine is {machine}; edgekit runs on x86-64 and arm64")
    fields = _cpu_fields()
    features = set((fields.get("flags") or fields.get("Features") or "").split())
    # Linux writes avxvnni without the underscore that it gives avx512_vnni.
    features |= {"avx_vnni"} if "avxvnni" in features else set()
    features |= {"bf16"} if features & set(BF16) else set()
    return Machine(
        architecture=ARCHITECTURES[machine],
        cpu=fields.get("model name", "") or platform.processor() or machine,
        cores=usable_cores(),
        isa=tuple(name for name in RELEVANT if name in features),
        memory_bytes=psutil.virtual_memory().total,
        board=_read("/proc/device-tree/model").rstrip("\0"),
        accelerators=_accelerators(),
        ghz=_ghz(fields),
    )


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(psutil.Process().cpu_affinity() or []) or psutil.cpu_count(logical=False) or 1


def _ghz(fields: dict[str, str]) -> float | None:
    """Return the highest frequency that the core may run at, in GHz.

    Where Linux does not say, it is what the core runs at now.
    """
    highest = _read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").strip()
    if highest.isdigit():
        return int(highest) / 1e6
    now = fields.get("cpu MHz", "")
    return float(now) / 1e3 if now else None


def _cpu_fields() -> dict[str, str]:
    """Read the first CPU's block of /proc/cpuinfo."""
    block = _read("/proc/cpuinfo").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _accelerators() -> tuple[str, ...]:
    found = []
    if list(Path("/dev").glob("accel/accel*")) and Path("/sys/module/intel_vpu").exists():
        found.append("intel-npu")
    if Path("/dev/nvhost-gpu").exists() or Path("/dev/nvgpu").exists():
        found.append("jetson-gpu")
    return tuple(found)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def matches(target: Target, machine: Machine) -> bool:
    """Whether this machine can run what is built for a device class."""
    if target.accelerator.startswith("jetson"):
        words = re.findall("[a-z0-9]+", machine.board.lower())
        # JetPack 5 says "NVIDIA Orin Nano Developer Kit", JetPack 6 "NVIDIA Jetson Orin Nano ...".
        # A DRIVE is neither.
        is_jetson = "jetson" in words or words[:2] == ["nvidia", "orin"]
        return is_jetson and set(target.accelerator.split("-")[1:]) <= set(words)
    has_accelerator = not target.accelerator or target.accelerator in machine.accelerators
    return (
        target.architecture == machine.architecture
        and set(target.isa) <= set(machine.isa)
        and has_accelerator
    )


def closest_target(machine: Machine) -> Target:
    """Return the most specific device class that this machine belongs to.

    Raises InputError if there is none.
    """
    fitting = [target for target in all_targets().values() if matches(target, machine)]
    if not fitting:
        raise InputError(
            f"no device class fits this machine ({machine.description}); see: edgekit targets"
        )
    return max(fitting, key=lambda target: (bool(target.accelerator), len(target.isa)))
