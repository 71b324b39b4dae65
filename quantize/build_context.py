"""What every step of one build needs, and what the variants share."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgekit import __version__
from edgekit.job import Progress, run_job
from edgekit.nouns import Artifact, Noun, Variant
from edgekit.profiles.data import Dataset
from edgekit.profiles.quality_job import MeasuredQuality
from edgekit.profiles.scenarios import Name
from edgekit.quantize.source import Source
from edgekit.spec import Spec
from edgekit.targets import Target
from edgekit.targets.detect import Machine

BUILD_PACKAGES = (
    "torch",
    "transformers",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "nncf",
    "openvino",
    "gguf",
    "llama-cpp-python",
    "tokenizers",
    "numpy",
    "Pillow",
)


class BuildListener(Protocol):
    """Whoever wants to know how far a build is."""

    def step(self, what: str, step: str, share: float) -> None:
        """What is worked on, the step, the share of that step; called often."""

    def done(self, made: "Candidate | Variant", number: int, total: int) -> None:
        """Take note of what one recipe came to: a candidate, or a variant that failed."""

    def warn(self, text: str) -> None:
        """Something that the user should know."""


@dataclass(frozen=True, kw_only=True)
class BuildContext:
    """What every step of one build needs."""

    spec: Spec
    source: Source
    reference: Source  # the source itself, unless the spec names another
    target: Target
    machine: Machine
    effort: Name
    out: Path
    cache: Path
    logs: Path
    versions: dict[str, str]
    listener: BuildListener

    @property
    def isa(self) -> tuple[str, ...]:
        """The CPU features that the artifacts of a build may count on."""
        return self.machine.isa if self.spec.target.device == "this" else self.target.isa

    def artifact_folder(self, artifact: Artifact) -> Path:
        """Return where the cache keeps the files of an artifact."""
        return self.cache / "artifacts" / artifact.key

    def run(self, function: str, request: Noun, what: str) -> Any:  # noqa: ANN401
        """Run a job; its log is named after what it works on."""
        return self._run(
            function, request, what, lambda step, share: self.listener.step(what, step, share)
        )

    def run_silently(self, function: str, request: Noun, what: str) -> Any:  # noqa: ANN401
        """Run a job that is too short to tell how far it is."""
        return self._run(function, request, what, None)

    def _run(self, function: str, request: Noun, what: str, progress: Progress | None) -> Any:  # noqa: ANN401
        return run_job(function, msgspec.to_builtins(request), self.logs / f"{what}.log", progress)


@dataclass(frozen=True, kw_only=True)
class PreparedBuild:
    """A build with everything laid out that its variants share."""

    context: BuildContext
    task_folder: Path
    reference: Path
    calibration: Dataset
    evaluation: Dataset
    columns: list[str]
    excluded: list[int]  # calibration rows that are evaluation rows but for white space, or refused
    refused: list[int]  # rows of the evaluation file that the model refuses, and that are left out


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An artifact and the quality of its answers; what it lacks is its timing.

    artifact: the files as the recipe made them.
    measured: the setting that was found, and what was measured of the answers with it.
    """

    artifact: Artifact
    measured: MeasuredQuality


def build_versions() -> dict[str, str]:
    """Return the versions of every package that has a say in what a build makes."""
    versions = {"edgekit": __version__}
    for name in BUILD_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
