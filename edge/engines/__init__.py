"""Engines: each is one module behind this small protocol, imported only when it is used.

To add one: a module like `onnxruntime.py`, and its line in ENGINES.
"""

import importlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from edgekit import __version__
from edgekit.edge.tasks import Tensors
from edgekit.errors import MissingPackage
from edgekit.nouns import Option, Setting
from edgekit.offline import stay_offline


class Session(Protocol):
    """A loaded model. `run` may be called from `setting.streams` threads at once."""

    def run(self, feeds: Tensors) -> Tensors:
        """One engine call: the tensors by name in, the outputs by name out. Feeds that the model lacks are ignored."""


class Engine(Protocol):
    """What an engine's module offers."""

    def load(self, folder: Path, setting: Setting) -> Session:
        """Load the model in `folder`; raises what the engine raises."""


class Entry(NamedTuple):
    """Where an engine is found, what installs it, and what to try with it after a crash."""

    module: str
    package: str  # as it is imported
    distribution: str  # as pip names it
    extra: str  # of edgekit
    retry_options: dict[str, Option] = {}


ENGINES = {
    "onnxruntime": Entry("edgekit.edge.engines.onnxruntime", "onnxruntime", "onnxruntime", "onnx"),
    "openvino": Entry("edgekit.edge.engines.openvino", "openvino", "openvino", "openvino"),
    "llama.cpp": Entry(
        "edgekit.edge.engines.llamacpp",
        "llama_cpp",
        "llama-cpp-python",
        "gguf",
        # Its AMX kernels crash on some machines; with weights that are not repacked the same model runs.
        retry_options={"extra_bufts": False},
    ),
}


def engine_version(name: str) -> str | None:
    """The installed version of an engine, or None, also for one that we don't know; it is not imported."""
    entry = ENGINES.get(name)
    if entry is None or importlib.util.find_spec(entry.package) is None:
        return None
    try:
        return importlib.metadata.version(entry.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions_with(name: str) -> dict[str, str]:
    """What a measurement with an engine depends on: edgekit, Python, the engine."""
    return {
        "edgekit": __version__,
        "python": platform.python_version(),
        name: engine_version(name) or "",
    }


def engine_dependencies(name: str) -> int:
    """How many other distributions an engine needs: of two equal variants, the one with fewer is simpler."""
    try:
        needed = importlib.metadata.requires(ENGINES[name].distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return 0
    return sum("extra ==" not in line for line in needed)


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


def settings(
    cores: int, streams: Sequence[int], batch_sizes: Sequence[int], precision: str = "as-stored"
) -> list[Setting]:
    """Every batch size with every number of streams, the cores shared out among the streams."""
    return [
        Setting(precision=precision, threads=max(1, cores // count), streams=count, batch_size=size)
        for count in streams
        for size in batch_sizes
    ]
