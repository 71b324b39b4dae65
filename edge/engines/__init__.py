"""Engines: each is one module behind this small protocol, imported only when it is used.

To add one: a module like `llamacpp.py`, and its line in ENGINES. One that can compile a model for
the very device that it stands on offers what Compiler says as well, as `onnxruntime.py` does.
"""

import importlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from edgekit import __version__
from edgekit.edge.tasks import Tensors
from edgekit.errors import MissingPackage
from edgekit.job import Progress
from edgekit.nouns import Option, Setting
from edgekit.offline import stay_offline


class Session(Protocol):
    """A loaded model. `run` may be called from `setting.streams` threads at once."""

    def run(self, feeds: Tensors) -> Tensors:
        """One engine call: the tensors by name in, the outputs by name out. Feeds that the model
        lacks are ignored.
        """


class Engine(Protocol):
    """What an engine's module offers."""

    def load(self, folder: Path, setting: Setting) -> Session:
        """Load the model in `folder`; raises what the engine raises."""


Compiled = Mapping[str, bytes]  # what an engine made of a model for one device, by names of its own


class Compiler(Engine, Protocol):
    """An engine whose last compile step can be done once, on the device. The result is native code,
    or as good as that.
    """

    def device(self, setting: Setting) -> str:
        """The device and its driver, in words: with any other the result is void."""

    def compile_here(self, folder: Path, setting: Setting, progress: Progress) -> Compiled:
        """Compile the model in `folder`; raises what the engine raises."""

    def load_compiled(self, folder: Path, setting: Setting, compiled: Compiled) -> Session:
        """As `load`, with the compile step left out."""


class Entry(NamedTuple):
    """Where an engine is found, what installs it, and what to try with it after a crash."""

    module: str
    package: str  # as it is imported
    distributions: tuple[str, ...]  # as pip names it, and the builds for other devices
    extra: str  # of edgekit
    retry_options: dict[str, Option] = {}


ENGINES = {
    "onnxruntime": Entry(
        "edgekit.edge.engines.onnxruntime",
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu"),
        "onnx",
    ),
    "openvino": Entry("edgekit.edge.engines.openvino", "openvino", ("openvino",), "openvino"),
    "llama.cpp": Entry(
        "edgekit.edge.engines.llamacpp",
        "llama_cpp",
        ("llama-cpp-python",),
        "gguf",
        # Its AMX kernels crash on some machines; with weights that are not repacked the same model
        # runs.
        retry_options={"extra_bufts": False},
    ),
}

ACCELERATORS = {"NPU": "intel-npu", "TensorRT": "jetson-gpu"}  # what the option `device` may name


def engine_version(name: str) -> str | None:
    """The installed version of an engine, or None, also for one that we don't know; it is not
    imported.
    """
    entry = ENGINES.get(name)
    if entry is None or importlib.util.find_spec(entry.package) is None:
        return None
    found = _distribution(entry)
    return found.version if found else None


def _distribution(entry: Entry) -> importlib.metadata.Distribution | None:
    for name in entry.distributions:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.distribution(name)
    return None


def versions_with(name: str) -> dict[str, str]:
    """What a measurement with an engine depends on: edgekit, Python, the engine."""
    return {
        "edgekit": __version__,
        "python": platform.python_version(),
        name: engine_version(name) or "",
    }


def engine_dependencies(name: str) -> int:
    """How many other distributions an engine needs: of two equal variants, the one with fewer is
    simpler.
    """
    found = _distribution(ENGINES[name])
    return sum("extra ==" not in line for line in (found.requires or [])) if found else 0


def require_engine(name: str) -> str:
    """The engine's installed version; raises MissingPackage with the command that installs it."""
    version = engine_version(name)
    if version is None:
        raise MissingPackage.of(f"the engine {name}", ENGINES[name].extra)
    return version


def load_engine(name: str) -> Engine:
    """Import an engine's module, with its telemetry shut first."""
    require_engine(name)
    stay_offline()
    return cast(Engine, importlib.import_module(ENGINES[name].module))


def load_compiler(name: str) -> Compiler:
    """The same of an engine that a device class names in `compile_on_device`."""
    return cast(Compiler, load_engine(name))


def accelerator(setting: Setting) -> str:
    """What a setting runs on beside the CPU, as `edgekit targets detect` names it; "" for
    nothing.
    """
    device = str(setting.options.get("device", "CPU"))
    return "" if device == "CPU" else ACCELERATORS.get(device, device)


def settings(
    cores: int, streams: Sequence[int], batch_sizes: Sequence[int], precision: str = "as-stored"
) -> list[Setting]:
    """Every batch size with every number of streams, the cores shared out among the streams."""
    return [
        Setting(precision=precision, threads=max(1, cores // count), streams=count, batch_size=size)
        for count in streams
        for size in batch_sizes
    ]
