"""The nouns of edgekit, in the order in which the main job makes them. Each is frozen and passed on
whole.

    Source × Recipe ─► Artifact ─► Evidence ─► Variant ─► Choice ─► Build ─► (bundle) ─► Slot

Spec is in edgekit.spec, Target in edgekit.targets, Recipe in edgekit.quantize.recipes: each beside
the code that reads it.
"""

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

Status = Literal["accepted", "rejected", "failed", "skipped"]
Option = str | int | float | bool
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
T = TypeVar("T")


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that is also a JSON object: unknown keys and wrong types are refused when it is read
    back.
    """

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no white space, so that equal records are equal bytes."""
        return msgspec.json.encode(self, order="sorted")


class Unreadable(ValueError):
    """Bytes that are not the JSON of a noun; the text says where they go wrong."""


def read_json(data: bytes, kind: type[T]) -> T:
    """A record from its JSON; raises Unreadable, whatever is in the bytes."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from None


class File(Noun, frozen=True, kw_only=True):
    """One file of an artifact. `sha256` is what OCI names it by; `blake3` is for the fast check at
    every load.
    """

    path: str
    size: int  # bytes
    sha256: str
    blake3: str


class Setting(Noun, frozen=True, kw_only=True):
    """How an engine runs an artifact: found by measuring, stored with the variant, used by the
    runtime.

    precision: what the engine computes in where the file leaves it open ("bf16" on OpenVINO), or
    "as-stored". threads: of one stream; 0 leaves it to the engine. streams: engine calls that run
    side by side. batch_size: inputs in one engine call. options: what only this engine knows.
    """

    precision: str = "as-stored"
    threads: int = 0
    streams: int = 1
    batch_size: int = 1
    options: dict[str, Option] = {}


class Artifact(Noun, frozen=True, kw_only=True):
    """The files of one variant as a recipe made them."""

    name: str  # of the recipe
    format: str
    precision: str
    method: str
    engine: str
    key: str  # of everything that went in: equal keys, equal artifacts
    files: tuple[File, ...]
    contents: dict[
        str, int
    ] = {}  # bytes of weights by the type that they really have, read back from the files
    calibration_samples: int = 0
    calibration_sha256: str = ""  # of the very inputs that it was calibrated on
    peak_rss_bytes: int = 0  # of the process that made it

    @property
    def size_bytes(self) -> int:
        """What the variant weighs on disk."""
        return sum(file.size for file in self.files)


class Paired(Noun, frozen=True, kw_only=True, tag="paired"):
    """Variant and reference on the same samples: all, those only the reference got right, those
    only the variant did.
    """

    samples: int
    lost: int
    gained: int

    @property
    def drop(self) -> float:
        """Accuracy lost against the reference, as a fraction; negative if the variant is better."""
        return (self.lost - self.gained) / self.samples


class Resampled(Noun, frozen=True, kw_only=True, tag="bootstrap"):
    """What a paired bootstrap says of a metric that is no plain share.

    bounds: pairs of a one-sided confidence and the largest drop that is not ruled out at it.
    """

    samples: int
    drop: float
    bounds: tuple[tuple[float, float], ...]


Comparison = Paired | Resampled


class Counts(Noun, frozen=True, kw_only=True):
    """Of one class: how often it was there and found, there and missed, and said where it was
    not.
    """

    found: int
    missed: int
    false: int

    @property
    def recall(self) -> float | None:
        """The share found of those that are there; None if there are none."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None

    @property
    def precision(self) -> float | None:
        """The share right of those that were said; None if none was."""
        return self.found / (self.found + self.false) if self.found + self.false else None


class Reliability(Noun, frozen=True, kw_only=True):
    """How far the probabilities can be trusted.

    roc_auc: of each label against all others, where the data has both. ece: expected calibration
    error, 15 bins. coverage_risk: the error rate among the most confident share of the samples, for
    shares from 0.1 to 1.
    """

    roc_auc: dict[str, float]
    macro_roc_auc: float | None
    ece: float
    coverage_risk: tuple[tuple[float, float], ...]


class Quality(Noun, frozen=True, kw_only=True):
    """What the gate measured of a variant's answers, on the whole evaluation set.

    The answers are measured one at a time and in batches of the setting's size, since the results
    of integer variants depend on their batch mates; what is said here is of the worse of the two,
    `judged_batch_size`.
    """

    metric: str
    metric_value: float
    metric_bounds: tuple[
        tuple[float, float], ...
    ]  # one-sided confidences, and the lowest value not ruled out at each
    reference_value: float
    comparison: Comparison
    judged_batch_size: int
    agreement: (
        # of variant and reference: the share of samples (or words) decided alike, or the mean
        # cosine
        float
    )
    batch_agreement: float  # the same, of the variant with itself: one at a time and in batches
    answer_error: (
        # root mean square of the difference of the answers, over the reference's standard deviation
        float
    )
    max_answer_difference: float
    classes: dict[str, Counts]
    reliability: Reliability | None
    # largest difference of an answer from the reference's on the golden samples
    golden_difference: float
    evaluation_sha256: str
    calibration_sha256: str


class Figure(Noun, frozen=True, kw_only=True):
    """A measured number, and the interval that its true value lies in at 95 % (two-sided)."""

    value: float
    low: float
    high: float


class Conditions(Noun, frozen=True, kw_only=True):
    """The machine during one measurement. None: this machine does not tell.

    others: CPU time that other processes took, as a share of all cores; steal: what the hypervisor
    took. slowdown: a fixed piece of work before and after the measurement, over the fastest of the
    session: 1.0 is calm. mhz: mean clock frequency of the cores before, during (the lowest seen)
    and after. celsius: the hottest sensor before, during (the highest seen) and after. throttled:
    thermal throttling events. cores: that others is a share of.
    """

    others: float
    steal: float | None = None
    slowdown: float = 1.0
    governor: str | None = None
    mhz: tuple[float, float, float] | None = None
    celsius: tuple[float, float, float] | None = None
    throttled: int | None = None
    cores: int | None = None


class ServerFigure(Noun, frozen=True, kw_only=True):
    """MLPerf's server scenario: the largest Poisson arrival rate tried at which p99 keeps the
    limit.
    """

    queries_per_s: float
    p99_ms: Figure
    limit_ms: float
    queries: int  # at that rate


class Performance(Noun, frozen=True, kw_only=True):
    """How fast one variant runs on one machine: measured in `rounds` fresh processes, in turns with
    other variants.

    Latency is of one input at a time, from raw input to prediction, tokenizing and decoding
    included; throughput is of full batches on every stream. Intervals of p50, p90 and throughput
    come from the spread between rounds (Student's t on logarithms; Kalibera and Jones, Rigorous
    benchmarking in reasonable time, 2013), that of p99 from the order statistics of all calls.

    latency_quantiles: ms at 0, 1, ... 100 %. p99_ms: None where the calls are too few. energy_j:
    joules for one input in the offline scenario; None where nothing measures it; energy_source says
    which meter, or why none. disturbed: what disturbed rounds that could not be repeated in peace;
    empty: a clean figure. skipped: what was not measured, and why.
    """

    effort: Literal["quick", "default", "thorough"]
    rounds: int
    calls: int
    p50_ms: Figure
    p90_ms: Figure
    p99_ms: Figure | None
    latency_quantiles: tuple[float, ...]
    samples_per_s: Figure
    round_p50_ms: tuple[float, ...]
    round_samples_per_s: tuple[float, ...]
    round_energy_j: tuple[float, ...] = ()
    server: ServerFigure | None = None
    load_ms: float  # with the files in the page cache
    cold_load_ms: float | None  # with them dropped from it
    peak_rss_bytes: int  # VmHWM of the measuring process
    energy_j: Figure | None = None
    energy_source: str
    conditions: tuple[Conditions, ...]
    disturbed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class Evidence(Noun, frozen=True, kw_only=True):
    """What was measured of a variant, where, with which setting and versions."""

    kind: Literal["measured"] = "measured"
    setting: Setting
    quality: Quality
    performance: Performance
    size_bytes: int
    machine: str
    target: str = ""  # the device class that the machine belongs to
    versions: dict[str, str]


class Profile(Noun, frozen=True, kw_only=True):
    """What `edgekit profile` measured of one variant on one device; without a word on accuracy,
    which needs labels.

    manifest: digest of the variant's manifest in its bundle; "" of a build that is not packed.
    inputs: which ones.
    """

    kind: Literal["measured"] = "measured"
    model: str
    version: str
    variant: str
    manifest: str
    setting: Setting
    performance: Performance
    inputs: str
    machine: str
    target: str  # the device class that the machine belongs to
    versions: dict[str, str]


class Profiles(Noun, frozen=True, kw_only=True):
    """What was measured on one machine, and why the rest was not."""

    machine: str
    profiles: tuple[Profile, ...]
    failed: dict[str, str] = {}


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
    """

    max_accuracy_drop: Fraction | None = None
    min_metric: Fraction | None = None
    min_recall: dict[str, Fraction] = {}
    min_precision: dict[str, Fraction] = {}
    confidence: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.95
    on_too_few: Literal["reject", "accept"] = "reject"
    p99_ms: Positive | None = None
    memory_mb: Positive | None = None

    def given(self) -> dict[str, object]:
        """Return the limits that are set, by their names in the spec, as values that JSON holds."""
        values = msgspec.to_builtins(self)
        return {key: value for key, value in values.items() if value not in (None, {})}


class Broken(Noun, frozen=True, kw_only=True):
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


class Measured(Noun, frozen=True, kw_only=True):
    """An artifact that was measured, before anybody holds it against limits.

    artifact: the files of the model.
    evidence: what was measured of them.
    """

    artifact: Artifact
    evidence: Evidence


class Variant(Noun, frozen=True, kw_only=True):
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


class Choice(Noun, frozen=True, kw_only=True):
    """The variant to ship, or none; and why, in one line.

    chosen: the name of the variant; None if none may be shipped.
    reason: why this one, or why none.
    ties: accepted variants that the measurement can't tell from the chosen one.
    pareto: measured variants that no other beats in accuracy, latency and memory at once.
    """

    chosen: str | None
    reason: str
    ties: tuple[str, ...] = ()
    pareto: tuple[str, ...] = ()


class Golden(Noun, frozen=True, kw_only=True):
    """Inputs with answers: in a build the reference's, in a slot the variant's own, which a device
    must reproduce.

    inputs: in the task's wire form (see edgekit.edge.tasks); made ones unless the spec releases
    named rows. answers: one array of numbers for each input. labels: what its columns mean, since
    numbers can be right and their names permuted.
    """

    inputs: list[object]
    answers: list[list[Any]]
    labels: list[str] = []


class Build(Noun, frozen=True, kw_only=True):
    """Everything that `edgekit build` found out; `edgekit report` and `bundle pack` read it back.

    model: the name of the model in the spec.
    version: the version of the model in the spec.
    task: what the model does.
    target: the device class that it was built for.
    architecture: of the processor, as OCI names it: amd64, arm64.
    isa: CPU features that the recipes counted on.
    cores: of the machine that found the settings; 0: not known.
    objective: what the choice makes as good as it can.
    limits: what every variant must keep.
    reference: what the variants were compared with, in words.
    evaluation_samples: how many samples the answers were measured on.
    tested_confidence: of each variant by itself, so that all together keep that of the limits.
    source_sha256: digest of the model that it was built from.
    versions: of every package that had a say.
    variants: what became of each recipe, in the order of the spec.
    choice: the variant to ship.
    """

    model: str
    version: str
    task: str
    target: str
    architecture: str
    isa: tuple[str, ...]
    cores: int = 0
    objective: str
    limits: Limits
    reference: str
    evaluation_samples: int
    tested_confidence: float
    source_sha256: str = ""
    versions: dict[str, str] = {}
    variants: tuple[Variant, ...]
    choice: Choice

    @property
    def measured(self) -> tuple[MeasuredVariant, ...]:
        """The variants that have evidence, in their order, whatever their status is."""
        return measured(self.variants)


class Slot(Noun, frozen=True, kw_only=True):
    """What lies in a slot beside the model's own files, as `slot.json`, and what a Model is opened
    from.
    """

    model: str
    version: str
    variant: str
    format: str
    precision: str
    engine: str
    engine_version: str  # that it was measured with
    architecture: str  # as OCI names it: amd64, arm64
    isa: tuple[str, ...]  # CPU features that the device must have
    setting: Setting
    cores: int = 0  # of the machine that found the setting; 0: not known
    # largest difference of an answer from the reference's that a healthy device may show
    golden_tolerance: Annotated[float, msgspec.Meta(ge=0)]
    device_class: str = ""  # that it was built for
    slow_ms: float | None = (
        None  # the median golden sample may take this long; beyond it the model is too slow
    )
    memory_bytes: int = 0  # the measured peak of a process that ran it; 0: not measured
    files: tuple[File, ...]
