"""The OCI records that a bundle is made of, and their media types (OCI image spec 1.1, CNCF
model-spec).
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from edgekit.digests import digest_bytes
from edgekit.edge.bundle.layout import MAX_SMALL
from edgekit.errors import Refused
from edgekit.nouns import Evidence, File, Profile, Slot, Unreadable, read_json
from edgekit.spec import Name

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

T = TypeVar("T")
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    """A JSON object of the layout. An unknown field is refused: it would be outside what we
    understood.
    """

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="sorted")


class Platform(Record, frozen=True, kw_only=True):
    """Where a variant runs."""

    os: str
    architecture: str


class Descriptor(Record, frozen=True, kw_only=True):
    """A blob: what it is, its digest and its size."""

    media_type: str
    digest: Digest
    size: Size
    artifact_type: str | None = None
    platform: Platform | None = None
    annotations: dict[str, str] = {}


class Manifest(Record, frozen=True, kw_only=True):
    """A variant, or an envelope attached to a `subject`."""

    schema_version: Literal[2]
    media_type: Literal["application/vnd.oci.image.manifest.v1+json"]
    artifact_type: str
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(Record, frozen=True, kw_only=True):
    """The release (an index over its variants), and `index.json` (an index over everything)."""

    schema_version: Literal[2]
    media_type: Literal["application/vnd.oci.image.index.v1+json"]
    manifests: list[Descriptor]
    artifact_type: str | None = None
    annotations: dict[str, str] = {}


class Release(Record, frozen=True, kw_only=True):
    """What a release signature says, as the payload of a DSSE envelope."""

    model: Name  # it names folders on the device
    version: str
    counter: Annotated[
        int, msgspec.Meta(ge=0, lt=1 << 62)
    ]  # a device that saw a higher one takes no lower one
    index: Digest


class Statement(Record, frozen=True, kw_only=True):
    """What an evidence signature says: this was measured of that variant."""

    subject: Digest  # of the variant's manifest
    evidence: Evidence


class Measurement(Record, frozen=True, kw_only=True):
    """What a profile's signature says: this was measured of that variant, later, on some device."""

    subject: Digest  # of the variant's manifest
    profile: Profile


def describe(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type=media_type, digest=digest_bytes(data), size=len(data))


def parse(data: bytes, kind: type[T], what: str) -> T:
    """A record from bytes; raises Refused. Duplicate keys, like every other spelling than ours, are
    refused too.
    """
    if len(data) > MAX_SMALL:
        raise Refused(f"{what}: larger than {MAX_SMALL} bytes")
    try:
        record = read_json(data, kind)
    except Unreadable as error:
        raise Refused(f"{what}: not what edgekit writes: {error}") from None
    if msgspec.json.encode(record, order="sorted") != data:
        raise Refused(f"{what}: not in canonical form")
    return record


def file_layer(file: File) -> Descriptor:
    """One file of a variant as a raw layer."""
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
    """A variant: its files in the order of slot.json, and that last. config, slot_json: their
    digests and sizes count.
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
    """Of a variant's manifest, as the release index has it."""
    return Descriptor(
        media_type=MANIFEST,
        digest=digest,
        size=size,
        artifact_type=MODEL,
        platform=Platform(os="linux", architecture=slot.architecture),
        annotations={VARIANT: slot.variant},
    )


def bare(item: Descriptor) -> Descriptor:
    """A descriptor without what its place adds: as a subject."""
    return Descriptor(media_type=item.media_type, digest=item.digest, size=item.size)


def release_index(model: str, version: str, variants: list[Descriptor]) -> Index:
    """What a release signature covers."""
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
    """Of the release index, as index.json has it: named by the version, for tools that copy by
    name.
    """
    return Descriptor(
        media_type=INDEX,
        digest=digest,
        size=size,
        artifact_type=MODEL,
        annotations={REF_NAME: version},
    )


def referrer_descriptor(digest: str, size: int, artifact_type: str | None) -> Descriptor:
    """Of a referrer's manifest, as index.json has it: named by its own digest."""
    return Descriptor(
        media_type=MANIFEST, digest=digest, size=size, artifact_type=artifact_type,
        annotations={REF_NAME: digest.replace(":", "-")},
    )  # fmt: skip


def top_index(release: Descriptor, referrers: Iterable[Descriptor]) -> bytes:
    """index.json: the release first, then its signature, the evidence, the profiles, each kind by
    digest.
    """
    order = sorted(
        referrers, key=lambda item: (REFERRERS.index(str(item.artifact_type)), item.digest)
    )
    return Index(schema_version=2, media_type=INDEX, manifests=[release, *order]).to_json()


def referrer(subject: Descriptor, artifact_type: str, layer: Descriptor) -> Manifest:
    """The manifest that hangs one envelope on a subject."""
    return Manifest(
        schema_version=2,
        media_type=MANIFEST,
        artifact_type=artifact_type,
        config=describe(b"{}", EMPTY),
        layers=[layer],
        subject=bare(subject),
    )
