"""What became of one recipe: its evidence, and the limits that it is held against."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from edgekit.nouns.artifact import Artifact, Setting
from edgekit.nouns.performance import Performance
from edgekit.nouns.quality import Quality
from edgekit.nouns.records import Noun, Part

Status = Literal["accepted", "rejected", "failed", "skipped"]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Evidence(Part, frozen=True, kw_only=True):
    """What was measured of a variant, where, with which setting and versions.

    kind: always "measured"; an estimate is no evidence.
    setting: how the engine ran it.
    quality: what the gate measured of its answers.
    performance: how fast it ran.
    size_bytes: what it weighs on disk.
    machine: the machine that measured it, in words.
    target: device class that the machine belongs to; "" if none.
    versions: version of each package that had a say.
    """

    kind: Literal["measured"] = "measured"
    setting: Setting
    quality: Quality
    performance: Performance
    size_bytes: int
    machine: str
    target: str = ""
    versions: dict[str, str]


class Limits(Noun, frozen=True, kw_only=True):
    """The limits that every variant must keep: [limits] of the spec.

    max_accuracy_drop: the most that may be lost against the reference, in the metric's own unit.
    min_metric: the least value of the metric itself, whatever the reference has.
    min_recall: the least recall of each class that is named.
    min_precision: the least precision of each class that is named.
    confidence: of the bounds that are held against the limits, one-sided, all variants together.
    on_too_few: what becomes of a variant whose value keeps a limit, if samples can't show it.
    p99_ms: the most that the p99 latency may be, in milliseconds.
    memory_mb: the most memory that a process may take, in units of 1,000,000 bytes.
    allow_weak_reference: build even if the reference is no better than guessing; no variant is
        held against it.
    """

    max_accuracy_drop: Fraction | None = None
    min_metric: Fraction | None = None
    min_recall: dict[str, Fraction] = {}
    min_precision: dict[str, Fraction] = {}
    confidence: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.95
    on_too_few: Literal["reject", "accept"] = "reject"
    p99_ms: Positive | None = None
    memory_mb: Positive | None = None
    allow_weak_reference: bool = False

    def given(self) -> dict[str, object]:
        """Return the limits that are set, by their names in the spec, as values that JSON holds."""
        values = msgspec.to_builtins(self)
        del values["allow_weak_reference"]  # no limit of a variant
        return {key: value for key, value in values.items() if value not in (None, {})}


class Broken(Part, frozen=True, kw_only=True):
    """A limit that a variant does not keep, or is not shown to keep.

    limit: the name of the limit in the spec, with the class after a dot where it is of one class.
    measured: the bound that is compared with the limit; None if it is not known.
    allowed: the limit's value.
    is_floor: the limit is the least that is allowed, not the most.
    too_few: the measured value keeps the limit, but the samples are too few to be sure.
    """

    limit: str
    measured: float | None
    allowed: float
    is_floor: bool = False
    too_few: bool = False

    @property
    def ratio(self) -> float:
        """How far beyond the limit it is: measured / allowed; for a floor allowed / measured."""
        if self.measured is None:
            return math.inf
        over, under = (
            (self.allowed, self.measured) if self.is_floor else (self.measured, self.allowed)
        )
        return over / under if under > 0 else math.inf


class Measured(Part, frozen=True, kw_only=True):
    """An artifact that was measured, before anybody holds it against limits.

    artifact: the files of the model.
    evidence: what was measured of them.
    """

    artifact: Artifact
    evidence: Evidence


class Variant(Part, frozen=True, kw_only=True):
    """What became of one recipe: judged by its evidence, or the reason why there is no evidence.

    name: of the recipe.
    format: of the model's file.
    precision: of the weights.
    engine: that runs it.
    status: accepted or rejected by the limits; failed where it could not be made or measured, or
        where its answers are plainly wrong; skipped where something that it needs is missing.
    reason: why it has this status, in one line.
    artifact: the files, where they could be made.
    evidence: what was measured of the artifact.
    broken: the limits that a rejected one does not keep.
    """

    name: str
    format: str
    precision: str
    engine: str
    status: Status
    reason: str
    artifact: Artifact | None = None
    evidence: Evidence | None = None
    broken: tuple[Broken, ...] = ()

    def __post_init__(self) -> None:
        """Hold that a variant is whole: no evidence of nothing, and no verdict without evidence."""
        super().__post_init__()
        if self.evidence is not None and self.artifact is None:
            raise ValueError(f"variant {self.name}: has evidence and no artifact")
        if self.evidence is None and self.status in ("accepted", "rejected"):
            raise ValueError(f"variant {self.name}: is {self.status} and has no evidence")


class MeasuredVariant(Variant, frozen=True, kw_only=True):
    """A variant that is known to have an artifact and evidence; its fields are those of Variant."""

    artifact: Artifact
    evidence: Evidence


def measured(variants: Iterable[Variant]) -> tuple[MeasuredVariant, ...]:
    """Return the variants that have evidence, in their order, whatever their status is."""
    return tuple(
        MeasuredVariant(**{name: getattr(item, name) for name in Variant.__struct_fields__})
        for item in variants
        if item.evidence
    )
