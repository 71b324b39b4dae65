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
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol, cast

import msgspec
import numpy as np

from edgekit import __version__
from edgekit.edge.tasks import Tensors
from edgekit.errors import InputError, MissingPackage
from edgekit.installation import DISTRIBUTION
from edgekit.job import Progress
from edgekit.nouns import Option, Setting
from edgekit.offline import stay_offline


class TensorSession(Protocol):
    """A loaded model that turns tensors into tensors: encoders, pictures, tables.

    It holds no state between calls: `run` may be called from `setting.streams` threads at once.
    """

    def run(self, feeds: Tensors) -> Tensors:
        """Run the model once: tensors by name in, outputs by name out; other feeds are ignored."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen.

    max_tokens: how many are generated at most.
    temperature: 0 takes the likeliest token.
    top_k: the choice is among so many likeliest tokens; 0 for all. It comes before top_p.
    top_p: the choice is among the likeliest tokens that have this share of the probability.
    seed: makes a choice repeatable; None for a new one each time.
    stop: token ids that end a sequence, beside the model's own.
    """

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 256
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    top_k: Annotated[int, msgspec.Meta(ge=0)] = 0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seed: int | None = None
    stop: tuple[int, ...] = ()


class TextRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence to be generated.

    prompt: token ids.
    adapter: the name of the adapter that is applied; "" for none.
    constraint: what the text must match, as JSON for the constraint's library; "" for none.
    owner: who may share the prompt's cached prefix; nobody else does.
    logprobs: whether pieces carry the log-probabilities of their tokens.
    """

    prompt: tuple[int, ...]
    sampling: Sampling = Sampling()
    adapter: str = ""
    constraint: str = ""
    owner: str = ""
    logprobs: bool = False


Finish = Literal["stop", "length"]


class Piece(NamedTuple):
    """What one step added to one sequence.

    number: of the sequence, as `add` was given it.
    tokens: the new token ids; none where only a part of the prompt was read.
    logprobs: one for each token, if they were asked for.
    finish: why the sequence ended; None while it goes on.
    """

    number: int
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    finish: Finish | None = None


class TextSession(Protocol):
    """A loaded model that generates: its sequences are decoded together, one step at a time.

    Only the scheduler's thread calls it.
    """

    most_sequences: int  # that are decoded together

    def add(self, number: int, request: TextRequest) -> None:
        """Take a sequence on; raises InputError for one that does not fit, with both numbers."""

    def step(self) -> Sequence[Piece]:
        """Advance every sequence, or the prompts of new ones by a part; at most one piece each."""

    def cancel(self, number: int) -> None:
        """Forget a sequence, whether it is known or not; it gives no more pieces."""

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> np.ndarray:
        """Return the log-probability of each token of a continuation: float32 [tokens]."""


class Engine(Protocol):
    """What the module of an engine for tensors offers."""

    def load(self, folder: Path, setting: Setting) -> TensorSession:
        """Load the model in `folder`; raises what the engine raises."""


class TextEngine(Protocol):
    """What the module of an engine that generates offers."""

    def load_text(self, folder: Path, setting: Setting) -> TextSession:
        """Load the model in `folder`; raises what the engine raises."""


Compiled = Mapping[str, bytes]  # what an engine made of a model for one device, by names of its own


class Compiler(Engine, Protocol):
    """An engine whose last compile step can be done once, on the device.

    The result is native code, or as good as that.
    """

    def device(self, setting: Setting) -> str:
        """Return the device and its driver, in words: with any other the result is void."""

    def compile_here(self, folder: Path, setting: Setting, progress: Progress) -> Compiled:
        """Compile the model in `folder`; raises what the engine raises."""

    def load_compiled(self, folder: Path, setting: Setting, compiled: Compiled) -> TensorSession:
        """Load the model in `folder` with what `compile_here` made: no compile step."""


class Entry(NamedTuple):
    """Where an engine is found, what installs it, and what to try with it after a crash.

    module: the one that holds the engine.
    package: the library's name as it is imported.
    distributions: the library as pip names it, and its builds for other devices.
    extra: of edgekit, which installs it; "" for an engine that is a part of edgekit.
    retry_options: options of a setting to try after a crash.
    """

    module: str
    package: str
    distributions: tuple[str, ...]
    extra: str
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
    "null": Entry("edgekit.edge.engines.null", "edgekit", (DISTRIBUTION,), ""),
}

ACCELERATORS = {"NPU": "intel-npu", "TensorRT": "jetson-gpu"}  # what the option `device` may name


def engine_version(name: str) -> str | None:
    """Return an engine's installed version, without an import; None if it is unknown or missing."""
    entry = ENGINES.get(name)
    if entry is not None and not entry.extra:
        return __version__
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
    """Return the versions that a measurement depends on: edgekit, Python, the engine."""
    return {
        "edgekit": __version__,
        "python": platform.python_version(),
        name: engine_version(name) or "",
    }


def engine_dependencies(name: str) -> int:
    """Return how many other distributions an engine needs.

    Of two equal variants, the one with fewer is simpler.
    """
    found = _distribution(ENGINES[name])
    return sum("extra ==" not in line for line in (found.requires or [])) if found else 0


def require_engine(name: str) -> str:
    """Return an engine's installed version.

    Raises MissingPackage with the command that installs it.
    """
    version = engine_version(name)
    if version is None:
        raise MissingPackage.of(f"the engine {name}", ENGINES[name].extra)
    return version


def load_engine(name: str) -> Engine:
    """Import an engine's module, with its telemetry shut first."""
    require_engine(name)
    stay_offline()
    return cast(Engine, importlib.import_module(ENGINES[name].module))


def load_text_engine(name: str) -> TextEngine:
    """Import the module of an engine that generates, with its telemetry shut first."""
    return cast(TextEngine, _offering(name, "load_text", "generates no text"))


def _offering(name: str, what: str, else_said: str) -> object:
    """Return an engine's module that offers a function; raises InputError for another."""
    module = load_engine(name)
    if not hasattr(module, what):
        raise InputError(f"the engine {name} {else_said}")
    return module


def load_compiler(name: str) -> Compiler:
    """Import the module of an engine that a device class names in `compile_on_device`."""
    return cast(Compiler, _offering(name, "compile_here", "has no compile step for a device"))


def accelerator(setting: Setting) -> str:
    """Return what a setting runs on beside the CPU; "" for nothing.

    The name is the one that `edgekit targets detect` uses.
    """
    device = str(setting.options.get("device", "CPU"))
    return "" if device == "CPU" else ACCELERATORS.get(device, device)


def settings(
    cores: int, streams: Sequence[int], batch_sizes: Sequence[int], precision: str = "as-stored"
) -> list[Setting]:
    """Make a setting for every batch size with every number of streams.

    The cores are shared out among the streams.
    """
    return [
        Setting(precision=precision, threads=max(1, cores // count), streams=count, batch_size=size)
        for count in streams
        for size in batch_sizes
    ]


if TYPE_CHECKING:  # a module whose functions drift from its protocol is an error of types
    from edgekit.edge.engines import llamacpp, null, onnxruntime, openvino

    _ENGINES: tuple[Engine, ...] = (llamacpp, null)
    _COMPILERS: tuple[Compiler, ...] = (onnxruntime, openvino)
    _TEXT_ENGINES: tuple[TextEngine, ...] = (null,)
