"""The records that a bundle is made of, and their media types (OCI image spec 1.1, ModelPack)."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from msgspec import Meta

from edgekit.digests import digest_bytes
from edgekit.edge.bundle.layout import MAX_SMALL
from edgekit.errors import Refused
from edgekit.nouns import (
    AnyNoun,
    BundledName,
    Evidence,
    File,
    Noun,
    Part,
    Profile,
    Record,
    Slot,
    Unreadable,
    canonical,
    read_json,
)

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
MODEL = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
LAYER = "application/vnd.cncf.model.{kind}.v1.raw"
DSSE = "application/vnd.dsse.envelope.v1+json"
RELEASE = "application/vnd.edgekit.release.v1+json"
EVIDENCE = "application/vnd.edgekit.evidence.v1+json"
PROFILE = "application/vnd.edgekit.profile.v1+json"
REFERRERS = (RELEASE, EVIDENCE, PROFILE)

SLOT, GOLDEN = "slot.json", "golden.json"
PAPERS = CARD, SBOM, PROVENANCE = "README.md", "sbom.cdx.json", "provenance.json"

FILEPATH = "org.cncf.model.filepath"
REF_NAME = "org.opencontainers.image.ref.name"
BLAKE3 = "io.edgekit.blake3"
VARIANT = "io.edgekit.variant"

T = TypeVar("T", bound=AnyNoun)
Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Size = Annotated[int, Meta(ge=0, lt=1 << 62)]
Counter = Annotated[int, Meta(ge=0, lt=1 << 62)]


class OciJson(Noun, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A JSON object of OCI: an unknown field is refused, since it is outside what we understood."""


class Platform(OciJson, frozen=True, kw_only=True):
    """Where a variant runs.

    os: operating system: linux.
    architecture: CPU architecture as OCI names it: amd64, arm64.
    """

    os: str
    architecture: str


class Descriptor(OciJson, frozen=True, kw_only=True):
    """A blob: what it is, its digest and its size.

    media_type: type of the blob's bytes.
    digest: SHA-256 of the blob.
    size: bytes.
    artifact_type: kind of artifact that a manifest or an index describes.
    platform: where a variant runs.
    annotations: notes by name; which ones stand where is in docs/bundle.md.
    """

    media_type: str
    digest: Digest
    size: Size
    artifact_type: str | None = None
    platform: Platform | None = None
    annotations: dict[str, str] = {}


class Manifest(OciJson, frozen=True, kw_only=True):
    """A variant, or an envelope attached to a subject.

    schema_version: always 2.
    media_type: always that of a manifest.
    artifact_type: a model, or which kind of envelope.
    config: an OCI config; edgekit reads nothing in it.
    layers: files of the variant, or the one envelope.
    subject: what the envelope is attached to.
    annotations: always empty, and left out.
    """

    schema_version: Literal[2]
    media_type: Literal["application/vnd.oci.image.manifest.v1+json"]
    artifact_type: str
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(OciJson, frozen=True, kw_only=True):
    """The release (an index over its variants), and `index.json` (an index over everything).

    schema_version: always 2.
    media_type: always that of an index.
    manifests: what it is an index over, in the order that docs/bundle.md gives.
    artifact_type: a model, on the release; nothing in `index.json`.
    annotations: name and version of the model, on the release; nothing in `index.json`.
    """

    schema_version: Literal[2]
    media_type: Literal["application/vnd.oci.image.index.v1+json"]
    manifests: list[Descriptor]
    artifact_type: str | None = None
    annotations: dict[str, str] = {}


class Release(Noun, frozen=True, kw_only=True):
    """What a release signature says, as the payload of a DSSE envelope.

    It is strict, and of format 1: a later format says so as a growing record does, by
    `format_version` above 1 and `needs_edgekit`, and its error names the edgekit that reads it.

    model: name of the model; it names folders on the device.
    version: version of the model.
    counter: number of the release: a device that activated a higher one takes no lower one.
    index: digest of the release index, hence of everything in the release.
    """

    FORMAT: ClassVar[int] = 1

    model: BundledName
    version: str
    counter: Counter
    index: Digest


class Statement(Record, frozen=True, kw_only=True):
    """What an evidence signature says: this was measured of that variant.

    subject: digest of the variant's manifest.
    evidence: what was measured.
    """

    subject: Digest
    evidence: Evidence


class Measurement(Record, frozen=True, kw_only=True):
    """What a profile's signature says: this was measured of that variant, later, on some device.

    subject: digest of the variant's manifest.
    profile: what was measured.
    """

    subject: Digest
    profile: Profile


def describe(data: bytes, media_type: str) -> Descriptor:
    """Make the descriptor of some bytes."""
    return Descriptor(media_type=media_type, digest=digest_bytes(data), size=len(data))


def parse(data: bytes, kind: type[T], what: str) -> T:
    """Read a record in canonical form; raises Refused, whatever is in the bytes.

    What grows is compared with the generic JSON value written anew, since it may hold fields that
    this version does not know, or lack some that have a default by now. What is strict is compared
    with itself written anew, so that it has one spelling and no more.
    """
    if len(data) > MAX_SMALL:
        raise Refused(f"{what}: larger than {MAX_SMALL} bytes")
    grows = issubclass(kind, Part)
    try:
        record = read_json(data, kind)
        written = canonical(data) if grows else record.to_json()
    except Unreadable as error:
        says = "this version of edgekit can't read it" if grows else "not what edgekit writes"
        raise Refused(f"{what}: {says}: {error}") from None
    if written != data:
        raise Refused(f"{what}: not in canonical form")
    return record


def file_layer(file: File) -> Descriptor:
    """Describe one file of a variant as a raw layer."""
    return Descriptor(
        media_type=LAYER.format(kind=_kind(file.path)), digest=file.sha256, size=file.size,
        annotations={FILEPATH: file.path, BLAKE3: file.blake3},
    )  # fmt: skip


def _kind(name: str) -> str:
    if name == GOLDEN:
        return "dataset"
    if name in PAPERS:
        return "doc"
    return "weight.config" if name.endswith(".json") else "weight"


def variant_manifest(config: Descriptor, slot: Slot, slot_json: Descriptor) -> Manifest:
    """Make the manifest of a variant: its files in the order of slot.json, and that last.

    Of `config` and `slot_json` digest and size count.
    """
    return Manifest(
        schema_version=2,
        media_type=MANIFEST,
        artifact_type=MODEL,
        config=Descriptor(media_type=MODEL_CONFIG, digest=config.digest, size=config.size),
        layers=[
            *(file_layer(file) for file in slot.files),
            Descriptor(
                media_type=LAYER.format(kind="weight.config"),
                digest=slot_json.digest,
                size=slot_json.size,
                annotations={FILEPATH: SLOT},
            ),
        ],
    )


def variant_descriptor(digest: str, size: int, slot: Slot) -> Descriptor:
    """Describe a variant's manifest as the release index does."""
    return Descriptor(
        media_type=MANIFEST,
        digest=digest,
        size=size,
        artifact_type=MODEL,
        platform=Platform(os="linux", architecture=slot.architecture),
        annotations={VARIANT: slot.variant},
    )


def subject_of(item: Descriptor) -> Descriptor:
    """Return a descriptor without what its place adds: as a subject has it."""
    return Descriptor(media_type=item.media_type, digest=item.digest, size=item.size)


def release_index(model: str, version: str, variants: list[Descriptor]) -> Index:
    """Make the release index, which a release signature covers."""
    return Index(
        schema_version=2,
        media_type=INDEX,
        artifact_type=MODEL,
        manifests=variants,
        annotations={
            "org.opencontainers.image.title": model,
            "org.opencontainers.image.version": version,
        },
    )


def release_descriptor(digest: str, size: int, version: str) -> Descriptor:
    """Describe the release index as index.json does.

    It is named by the version, for tools that copy by name.
    """
    return Descriptor(
        media_type=INDEX,
        digest=digest,
        size=size,
        artifact_type=MODEL,
        annotations={REF_NAME: version},
    )


def referrer_descriptor(digest: str, size: int, artifact_type: str | None) -> Descriptor:
    """Describe a referrer's manifest as index.json does: named by its own digest."""
    return Descriptor(
        media_type=MANIFEST, digest=digest, size=size, artifact_type=artifact_type,
        annotations={REF_NAME: digest.replace(":", "-")},
    )  # fmt: skip


def top_index(release: Descriptor, referrers: Iterable[Descriptor]) -> bytes:
    """Write index.json: the release, its signature, the evidence, the profiles.

    Each kind stands in the order of digests.
    """
    order = sorted(
        referrers, key=lambda item: (REFERRERS.index(str(item.artifact_type)), item.digest)
    )
    return Index(schema_version=2, media_type=INDEX, manifests=[release, *order]).to_json()


def referrer(subject: Descriptor, artifact_type: str, layer: Descriptor) -> Manifest:
    """Make the manifest that hangs one envelope on a subject."""
    return Manifest(
        schema_version=2,
        media_type=MANIFEST,
        artifact_type=artifact_type,
        config=describe(b"{}", EMPTY),
        layers=[layer],
        subject=subject_of(subject),
    )
