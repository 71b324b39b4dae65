"""The nouns of edgekit, in the order in which the main job makes them.

    Source × Recipe ─► Artifact ─► Evidence ─► Variant ─► Choice ─► Build ─► (bundle) ─► Slot

Each is frozen and passed on whole. Spec is in edgekit.spec, Target in edgekit.targets, Recipe in
edgekit.quantize.recipes: each beside the code that reads it.

There are two kinds, and the base class says which:

    Noun    strict: an unknown field is an error. What users write (spec, policy, task.json), what
            our own processes say to each other, and what a signature or OCI pins down to the byte.
    Record  grows: a file or a signed payload that leaves the machine and is read by other versions
            of edgekit. An unknown field is ignored, unless the record calls it critical. What lies
            inside of a record is a Part of it, under the same rule.
"""

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

Status = Literal["accepted", "rejected", "failed", "skipped"]
Option = str | int | float | bool
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
T = TypeVar("T")

# A name that a signed bundle may give its model: it names folders on the device. It stands apart
# from what spec files may say, so that loosening it there loosens no verification here.
BundledName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]

Names = Annotated[tuple[str, ...], Meta(min_length=1, extra_json_schema={"uniqueItems": True})]
MAX_DEPTH = 64  # of lists and objects in each other, in a record that another version may have made
WHOLE = range(-(1 << 63), 1 << 64)  # the whole numbers that such a record may hold
VERSION = r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}\Z"  # of edgekit


class AnyNoun(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen record that is also a JSON object: what Noun and Part have in common."""

    def to_json(self) -> bytes:
        """Encode as canonical JSON (sorted keys, no white space): equal records, equal bytes."""
        return msgspec.json.encode(self, order="sorted")


class Noun(AnyNoun, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strict noun: unknown fields and wrong types are refused when it is read back."""


class Part(AnyNoun, frozen=True, kw_only=True):
    """An object inside of a record: unknown fields are ignored, except those it calls critical.

    critical: the fields of this object that a reader must know, or refuse it; left out if none.
    """

    critical: Names | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse what this version may not ignore; msgspec calls it for each object that it reads.

        Raises ValueError, which msgspec turns into its own error, with the place.
        """
        if isinstance(self.critical, UnsetType):
            return
        known = (*self.__struct_encode_fields__, self.__struct_config__.tag_field)
        for name in self.critical:
            if name not in known:
                raise ValueError(f"its field {name[:60]!r} is critical, and not known here")
        if len(set(self.critical)) != len(self.critical):
            raise ValueError("it calls a field critical twice")


class Record(Part, frozen=True, kw_only=True):
    """A file or a signed payload that other versions of edgekit read.

    FORMAT: the highest format number that this version reads, and the one that it writes.
    format_version: the number of the record's format; without one it is 1.
    needs_edgekit: the oldest edgekit that reads it, for the error of an older one.
    """

    FORMAT: ClassVar[int] = 1

    format_version: Annotated[int, Meta(ge=1)] = 1
    needs_edgekit: Annotated[str, Meta(pattern=VERSION)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a newer format, however the record is read, and what is critical and unknown."""
        super().__post_init__()
        if self.format_version > self.FORMAT:
            raise ValueError(f"format {self.format_version} is above {self.FORMAT}")


class Unreadable(ValueError):
    """Bytes that are not the JSON of a noun; the text says where they go wrong."""


class _Head(msgspec.Struct, frozen=True):
    """What a record says about its own format, whatever else is in it."""

    format_version: object = 1
    needs_edgekit: object = ""


def read_json(data: bytes, kind: type[T]) -> T:
    """Read a noun from its JSON; raises Unreadable, whatever is in the bytes.

    The format number of a record is looked at first, since a newer one may mean anything.
    """
    newest = getattr(kind, "FORMAT", None)
    later = _refuse_newer(data, newest) if newest is not None else ""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{error}{later}") from None


def _refuse_newer(data: bytes, newest: int) -> str:
    """Raise Unreadable for a format above `newest`; else say which edgekit the record asks for."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # the reader itself says what is wrong
    needs = head.needs_edgekit
    is_version = isinstance(needs, str) and re.match(VERSION, needs)
    number = head.format_version
    if isinstance(number, int) and not isinstance(number, bool) and number > newest:
        reader = f"edgekit {needs} or later" if is_version else "a later edgekit"
        shown = number if number in WHOLE else "of many digits"
        raise Unreadable(f"format {shown}, this edgekit reads up to {newest}; {reader} reads it")
    return f"; edgekit {needs} or later reads it" if is_version else ""


def canonical(data: bytes) -> bytes:
    """Write any JSON value again in canonical form; raises Unreadable where it has none.

    It knows no types: a record is canonical or not whether its reader knows all its fields or not.
    """
    value = read_json(data, object)
    try:
        _check_value(value, MAX_DEPTH)
        return msgspec.json.encode(value, order="sorted")
    except (RecursionError, OverflowError) as error:
        raise Unreadable(str(error)) from None


def _check_value(value: object, depth: int) -> None:
    """Raise Unreadable for what not every reader of JSON could hold."""
    if isinstance(value, int) and value not in WHOLE:
        raise Unreadable("a whole number of more than 64 bits")
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise Unreadable(f"more than {MAX_DEPTH} lists and objects in each other")
    for item in value.values() if isinstance(value, dict) else value:
        _check_value(item, depth - 1)


class File(Part, frozen=True, kw_only=True):
    """One file of an artifact.

    path: its name in the artifact's folder.
    size: bytes.
    sha256: digest that OCI names it by, `sha256:` and 64 hex digits.
    blake3: digest for the fast check at every load, `blake3:` and 64 hex digits.
    """

    path: str
    size: int
    sha256: str
    blake3: str


class Setting(Part, frozen=True, kw_only=True):
    """How an engine runs an artifact: found by measuring, used by the runtime.

    precision: what the engine computes in where the file leaves it open ("bf16"), or "as-stored".
    threads: CPU threads of one stream; 0 leaves it to the engine.
    streams: engine calls that run side by side.
    batch_size: inputs in one engine call.
    options: what only this engine knows.
    """

    precision: str = "as-stored"
    threads: int = 0
    streams: int = 1
    batch_size: int = 1
    options: dict[str, Option] = {}


class Artifact(Part, frozen=True, kw_only=True):
    """The files of one variant as a recipe made them.

    name: name of the recipe.
    format: file format: onnx, openvino, gguf.
    precision: number type of the weights.
    method: how they were quantized; "" if they were not.
    engine: engine that runs it.
    key: digest of everything that went in: equal keys, equal artifacts.
    files: every file, with its digests.
    contents: bytes of weights by the type that they really have, read back from the files.
    calibration_samples: how many inputs it was calibrated on.
    calibration_sha256: digest of those very inputs.
    peak_rss_bytes: peak memory of the process that made it.
    """

    name: str
    format: str
    precision: str
    method: str
    engine: str
    key: str
    files: tuple[File, ...]
    contents: dict[str, int] = {}
    calibration_samples: int = 0
    calibration_sha256: str = ""
    peak_rss_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Return what the variant weighs on disk."""
        return sum(file.size for file in self.files)


class Paired(Part, frozen=True, kw_only=True, tag="paired"):
    """Variant and reference compared on the same samples, each answer right or wrong.

    samples: how many there were.
    lost: samples that only the reference got right.
    gained: samples that only the variant got right.
    """

    samples: int
    lost: int
    gained: int

    @property
    def drop(self) -> float:
        """Return the accuracy lost against the reference, as a fraction; negative if it is more."""
        return (self.lost - self.gained) / self.samples


class Resampled(Part, frozen=True, kw_only=True, tag="bootstrap"):
    """What a paired bootstrap says of a metric that is no plain share.

    samples: how many there were.
    drop: metric lost against the reference; negative if the variant is better.
    bounds: pairs of a one-sided confidence and the largest drop that is not ruled out at it.
    """

    samples: int
    drop: float
    bounds: tuple[tuple[float, float], ...]


Comparison = Paired | Resampled


class Counts(Part, frozen=True, kw_only=True):
    """How often one class was found, missed, and said where it was not.

    found: samples of the class that were said to be of it.
    missed: samples of the class that were said to be of another.
    false: samples of another class that were said to be of this one.
    """

    found: int
    missed: int
    false: int

    @property
    def recall(self) -> float | None:
        """Return the share found of those that are there; None if there are none."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None

    @property
    def precision(self) -> float | None:
        """Return the share right of those that were said; None if none was."""
        return self.found / (self.found + self.false) if self.found + self.false else None


class Reliability(Part, frozen=True, kw_only=True):
    """How far the probabilities can be trusted.

    roc_auc: area under the ROC curve of each label against all others, where the data has both.
    macro_roc_auc: mean of those; None if there is none.
    ece: expected calibration error, 15 bins.
    coverage_risk: pairs of a share, 0.1 to 1, and the error rate among so many most confident ones.
    """

    roc_auc: dict[str, float]
    macro_roc_auc: float | None
    ece: float
    coverage_risk: tuple[tuple[float, float], ...]


class Quality(Part, frozen=True, kw_only=True):
    """What the gate measured of a variant's answers, on the whole evaluation set.

    The answers are measured one at a time and in batches of the setting's size, since the results
    of integer variants depend on their batch mates; what is said here is of the worse of the two.

    metric: name of the metric.
    metric_value: its value.
    metric_bounds: pairs of a one-sided confidence and the lowest value that is not ruled out at it.
    reference_value: the reference's value of the same metric.
    comparison: variant and reference on the same samples.
    judged_batch_size: batch size that was the worse of the two.
    agreement: share of samples (or words) decided as the reference does, or the mean cosine.
    batch_agreement: the same between the variant's own answers one at a time and in batches.
    answer_error: root mean square difference of the answers, over the reference's deviation.
    max_answer_difference: largest difference of an answer from the reference's.
    classes: counts by class.
    reliability: of the probabilities; None for a task that has none.
    golden_difference: largest difference of an answer from the reference's on the golden samples.
    evaluation_sha256: digest of the evaluation file.
    calibration_sha256: digest of the calibration file.
    """

    metric: str
    metric_value: float
    metric_bounds: tuple[tuple[float, float], ...]
    reference_value: float
    comparison: Comparison
    judged_batch_size: int
    agreement: float
    batch_agreement: float
    answer_error: float
    max_answer_difference: float
    classes: dict[str, Counts]
    reliability: Reliability | None
    golden_difference: float
    evaluation_sha256: str
    calibration_sha256: str


class Figure(Part, frozen=True, kw_only=True):
    """A measured number, and the interval that its true value lies in at 95 % (two-sided).

    value: the number.
    low: lower end of the interval.
    high: upper end of the interval.
    """

    value: float
    low: float
    high: float


class Conditions(Part, frozen=True, kw_only=True):
    """The state of the machine during one measurement. None: this machine does not tell.

    others: CPU time that other processes took, as a share of all cores.
    steal: CPU time that the hypervisor took, as a share of all cores.
    slowdown: time of a fixed piece of work, over the fastest of the session: 1.0 is calm.
    governor: CPU frequency governor.
    mhz: mean clock frequency of the cores before, during (the lowest seen) and after.
    celsius: hottest sensor before, during (the highest seen) and after.
    throttled: thermal throttling events.
    cores: how many cores `others` is a share of.
    """

    others: float
    steal: float | None = None
    slowdown: float = 1.0
    governor: str | None = None
    mhz: tuple[float, float, float] | None = None
    celsius: tuple[float, float, float] | None = None
    throttled: int | None = None
    cores: int | None = None


class ServerFigure(Part, frozen=True, kw_only=True):
    """MLPerf's server scenario: the largest Poisson arrival rate tried whose p99 keeps the limit.

    queries_per_s: that rate.
    p99_ms: 99th percentile of the latency at that rate.
    limit_ms: limit on it.
    queries: how many were asked at that rate.
    """

    queries_per_s: float
    p99_ms: Figure
    limit_ms: float
    queries: int


class Performance(Part, frozen=True, kw_only=True):
    """How fast one variant runs on one machine.

    It is measured in fresh processes, one a round, in turns with other variants. Latency is of one
    input at a time, from raw input to prediction, tokenizing and decoding included; throughput is
    of full batches on every stream. Intervals of p50, p90 and throughput come from the spread
    between rounds (Student's t on logarithms; Kalibera and Jones, Rigorous benchmarking in
    reasonable time, 2013), that of p99 from the order statistics of all calls.

    effort: how thorough the measurement was.
    rounds: how many fresh processes measured it.
    calls: how many calls were timed in all.
    p50_ms: median latency.
    p90_ms: 90th percentile of the latency.
    p99_ms: 99th percentile of the latency; None where the calls are too few.
    latency_quantiles: latency in ms at 0, 1, ... 100 %.
    samples_per_s: throughput.
    round_p50_ms: median latency of each round.
    round_samples_per_s: throughput of each round.
    round_energy_j: joules for one input of each round.
    server: the server scenario; None if it was not asked for.
    load_ms: time to load the model with its files in the page cache.
    cold_load_ms: the same with them dropped from it; None where that can't be done.
    peak_rss_bytes: peak memory (VmHWM) of the measuring process.
    energy_j: joules for one input in the offline scenario; None where nothing measures it.
    energy_source: which meter measured that, or why none did.
    conditions: state of the machine in each round.
    disturbed: what disturbed rounds that could not be repeated in peace; empty: a clean figure.
    skipped: what was not measured, and why.
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
    load_ms: float
    cold_load_ms: float | None
    peak_rss_bytes: int
    energy_j: Figure | None = None
    energy_source: str
    conditions: tuple[Conditions, ...]
    disturbed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


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


class Profile(Part, frozen=True, kw_only=True):
    """What `edgekit profile` measured of one variant on one device.

    It says nothing on accuracy, which needs labels.

    kind: always "measured"; an estimate is no profile.
    model: name of the model.
    version: version of the model.
    variant: name of the variant.
    manifest: digest of the variant's manifest in its bundle; "" for a build that is not packed.
    setting: how the engine ran it.
    performance: how fast it ran.
    inputs: which inputs it ran on, in words.
    machine: the machine that measured it, in words.
    target: device class that the machine belongs to.
    versions: version of each package that had a say.
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
    target: str
    versions: dict[str, str]


class Profiles(Record, frozen=True, kw_only=True):
    """The file of `edgekit profile --out`: what was measured on one machine.

    machine: the machine, in words.
    profiles: one for each variant that was measured.
    failed: why the others were not, by variant.
    """

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


class Choice(Part, frozen=True, kw_only=True):
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


class Golden(Record, frozen=True, kw_only=True):
    """Inputs with their answers, as `golden.json`, which a device must reproduce.

    In a build the answers are the reference's, in a slot the variant's own.

    inputs: in the task's wire form (see edgekit.edge.tasks); made ones, or rows the spec releases.
    answers: one array of numbers for each input.
    labels: what the columns mean, since numbers can be right and their names permuted.
    """

    inputs: list[object]
    answers: list[list[Any]]
    labels: list[str] = []


class Build(Record, frozen=True, kw_only=True):
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


class Slot(Record, frozen=True, kw_only=True):
    """What lies in a slot beside the model's own files, as `slot.json`.

    A Model is opened from it.

    model: name of the model.
    version: version of the model.
    variant: name of the variant.
    format: file format of the model: onnx, openvino, gguf.
    precision: number type of the weights.
    engine: engine that runs it.
    engine_version: version of the engine that it was measured with.
    architecture: CPU architecture that it needs, as OCI names it: amd64, arm64.
    isa: CPU features that the device must have.
    setting: how the engine runs it.
    cores: cores of the machine that found the setting; 0: not known.
    golden_tolerance: largest difference from the reference's answers that a healthy device shows.
    device_class: device class that it was built for; "" if none.
    slow_ms: median time of a golden sample beyond which the model is too slow; None: no limit.
    memory_bytes: measured peak memory of a process that ran it; 0: not measured.
    files: every other file of the slot.
    """

    model: str
    version: str
    variant: str
    format: str
    precision: str
    engine: str
    engine_version: str
    architecture: str
    isa: tuple[str, ...]
    setting: Setting
    cores: int = 0
    golden_tolerance: Annotated[float, Meta(ge=0)]
    device_class: str = ""
    slow_ms: float | None = None
    memory_bytes: int = 0
    files: tuple[File, ...]
