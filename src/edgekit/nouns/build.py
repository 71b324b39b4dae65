"""What a build found out, and what of it a device holds in a slot."""

from typing import Annotated, Any

from msgspec import Meta

from edgekit.nouns.artifact import File, Setting
from edgekit.nouns.quality import Standing
from edgekit.nouns.records import Part, Record
from edgekit.nouns.variant import Limits, MeasuredVariant, Variant, measured

# A name that a signed bundle may give its model: it names folders on the device. It stands apart
# from what spec files may say, so that loosening it there loosens no verification here.
BundledName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]


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
    standing: how the reference stands against guessing; None in a build of before it was asked.
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
    standing: Standing | None = None
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
