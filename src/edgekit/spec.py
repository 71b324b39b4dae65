"""The spec: the user's edgekit.toml, read and checked.

What is wrong is said in one line that names the file and the key.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edgekit.errors import InputError
from edgekit.nouns import Limits, Noun
from edgekit.toml_file import read_toml

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Objective = Literal["latency", "throughput", "energy", "size", "accuracy"]
Count = Annotated[int, msgspec.Meta(ge=1)]
OnTooLong = Literal["flag", "refuse", "window"]


class ThresholdPart(Noun, frozen=True, kw_only=True):
    """[model.threshold]: from which probability on a label is said; chosen on the calibration data.

    One of the two shares is kept there, and the other made as large as it can be.
    """

    label: str
    specificity: Share | None = None
    sensitivity: Share | None = None


class ModelPart(Noun, frozen=True, kw_only=True):
    """[model]: what is built."""

    name: Name
    version: str = "0.1.0"
    source: str  # a Hugging Face folder, or a folder with model.onnx and task.json
    task: str
    max_length: Annotated[int, msgspec.Meta(ge=4, le=8192)] | None = (
        None  # tokens; None: what the tokenizer says
    )
    threshold: ThresholdPart | None = None
    reference: str | None = (
        None  # a folder like source; what a source that is quantized already is compared with
    )


class DataPart(Noun, frozen=True, kw_only=True):
    """[data]: what it is calibrated and measured on."""

    calibration: str
    evaluation: str
    input: str | list[str] | None = (
        None  # the column, or for tabular the columns; None: the task's own default
    )
    label: str = "label"
    calibration_samples: Count = 256
    # rows of the evaluation file that may travel in bundles as golden samples
    release_rows: list[Count] = []
    # what becomes of a text with more tokens than the model takes; None: the task's own default
    on_too_long: OnTooLong | None = None


class TargetPart(Noun, frozen=True, kw_only=True):
    """[target]: what it is built for."""

    device: str = "this"
    recipes: list[str] | None = None  # None: what the target lists for the task


class Spec(Noun, frozen=True, kw_only=True):
    """edgekit.toml. Paths in it are relative to its folder."""

    model: ModelPart
    data: DataPart
    target: TargetPart = TargetPart()
    limits: Limits = Limits()
    objective: Objective = "latency"


PARTS: dict[str, type[Noun]] = {
    "model": ModelPart,
    "model.threshold": ThresholdPart,
    "data": DataPart,
    "target": TargetPart,
    "limits": Limits,
}


def load_spec(path: Path) -> Spec:
    """Read and check an edgekit.toml; raises InputError."""
    spec = read_toml(path, Spec, PARTS, "write one with: edgekit init MODEL DATA")
    threshold = spec.model.threshold
    if threshold and (threshold.specificity is None) == (threshold.sensitivity is None):
        raise InputError(f"{path}: model.threshold must have one of specificity and sensitivity")
    return _anchor(spec, path)


def _anchor(spec: Spec, path: Path) -> Spec:
    """Make the paths absolute, and check that they lead somewhere."""
    found: dict[str, str] = {}
    for key, value, kind in (
        ("model.source", spec.model.source, "folder"),
        ("model.reference", spec.model.reference, "folder"),
        ("data.calibration", spec.data.calibration, "file"),
        ("data.evaluation", spec.data.evaluation, "file"),
    ):
        if value is None:
            continue
        try:
            place = (path.parent / Path(value).expanduser()).resolve()
            is_there = place.is_dir() if kind == "folder" else place.is_file()
        except (RuntimeError, ValueError):  # no such user's home; a NUL
            is_there = False
        if not is_there:
            raise InputError(
                f"{path}: {key} = {value!r}: no such {kind}; paths are relative to"
                f" {path.parent.resolve()}"
            )
        found[key] = str(place)
    return msgspec.structs.replace(
        spec,
        model=msgspec.structs.replace(
            spec.model, source=found["model.source"], reference=found.get("model.reference")
        ),
        data=msgspec.structs.replace(
            spec.data, calibration=found["data.calibration"], evaluation=found["data.evaluation"]
        ),
    )
