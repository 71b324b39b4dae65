"""The verdict on a bundle. Nothing is extracted and no model parser runs before it.

The signature covers the digest of the release index, hence every manifest and every blob. What lies
outside of that (oci-layout, index.json, tar headers) must be exactly what we would have written, so
it can say nothing of its own.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgekit.edge.bundle import oci
from edgekit.edge.bundle.envelope import Signers, unseal, unseal_if_trusted
from edgekit.edge.bundle.layout import OCI_LAYOUT, Layout, blob_name, pieces, read_small
from edgekit.edge.bundle.oci import (
    Descriptor,
    Index,
    Manifest,
    Measurement,
    Release,
    Statement,
    parse,
    referrer,
)
from edgekit.edge.bundle.trust import Trust
from edgekit.errors import Refused
from edgekit.files import digest_bytes
from edgekit.nouns import Evidence, Profile, Slot

SUFFIXES = (".json", ".onnx", ".xml", ".bin", ".gguf", ".md")


@dataclass(frozen=True, kw_only=True)
class VerifiedVariant:
    """One variant whose records were signed; its blobs are checked while they are read."""

    descriptor: Descriptor
    manifest: Manifest
    slot: Slot
    evidence: Evidence | None
    profiles: tuple[Profile, ...] = ()

    @property
    def layers(self) -> dict[str, Descriptor]:
        """The layers by file name."""
        return {layer.annotations[oci.FILEPATH]: layer for layer in self.manifest.layers}


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A bundle whose signature holds."""

    release: Release
    key_ids: tuple[str, ...]
    variants: tuple[VerifiedVariant, ...]
    untrusted: int = 0  # referrers that nobody trusted signed; they have no effect


def verify(layout: Layout, trust: Trust) -> Verified:
    """Check signature and structure; raises Refused. Blobs' contents are checked by `check_blobs`
    or `read_blob`.
    """
    where = layout.where
    if read_small(layout, "oci-layout") != OCI_LAYOUT:
        raise Refused(f"{where}: oci-layout is not what edgekit writes")
    top = parse(read_small(layout, "index.json"), Index, f"{where}: index.json")
    signatures = [item for item in top.manifests if item.artifact_type == oci.RELEASE]
    if len(signatures) != 1:
        raise Refused(f"{where}: has {len(signatures)} release signatures, and must have one")
    envelope, subject, blobs = _attached(layout, signatures[0])
    payload, key_ids = unseal(envelope, oci.RELEASE, trust.release, f"{where}: release signature")
    release = parse(payload, Release, f"{where}: release statement")
    index_descriptor = next((item for item in top.manifests if item.digest == release.index), None)
    if index_descriptor is None:
        raise Refused(f"{where}: the signed index is missing")
    if subject != oci.bare(index_descriptor):
        raise Refused(f"{where}: the signature hangs on another index than it signs")
    index = parse(_blob(layout, index_descriptor), Index, f"{where}: release index")
    said = _read_evidence(layout, top, index, trust.evidence)
    variants = [_variant(layout, item, said) for item in index.manifests]
    _check_release(layout, release, index, variants)
    blobs |= {release.index} | said.blobs
    for found in variants:
        blobs |= {found.descriptor.digest, found.manifest.config.digest}
        blobs |= {layer.digest for layer in found.manifest.layers}
    _check_rest(layout, top, release, index_descriptor, blobs)
    return Verified(
        release=release, key_ids=key_ids, variants=tuple(variants), untrusted=said.untrusted
    )


@dataclass(kw_only=True)
class _Said:
    """What was attached to variants, by their digests. untrusted: how many envelopes nobody trusted
    signed.
    """

    evidence: dict[str, Evidence] = field(default_factory=dict)
    profiles: dict[str, list[Profile]] = field(default_factory=dict)
    untrusted: int = 0
    blobs: set[str] = field(default_factory=set)


def _read_evidence(layout: Layout, top: Index, index: Index, signers: Signers) -> _Said:
    """Every referrer of a variant; raises Refused where one is not sound, or trusted and about
    something else.
    """
    said, variants = _Said(), [oci.bare(item) for item in index.manifests]
    for item in top.manifests:
        if item.artifact_type not in (oci.EVIDENCE, oci.PROFILE):
            continue
        envelope, subject, blobs = _attached(layout, item)
        if subject not in variants:
            raise Refused(f"{layout.where}: evidence without its variant")
        said.blobs |= blobs
        what = f"{layout.where}: {'evidence' if item.artifact_type == oci.EVIDENCE else 'profile'}"
        payload = unseal_if_trusted(envelope, item.artifact_type, signers, what)
        if payload is None:
            said.untrusted += 1
        elif item.artifact_type == oci.EVIDENCE:
            statement = parse(payload, Statement, what)
            if statement.subject != subject.digest or subject.digest in said.evidence:
                raise Refused(f"{what} hangs on another variant than it is about")
            said.evidence[subject.digest] = statement.evidence
        else:
            measurement = parse(payload, Measurement, what)
            if not measurement.subject == measurement.profile.manifest == subject.digest:
                raise Refused(f"{what} hangs on another variant than it is about")
            said.profiles.setdefault(subject.digest, []).append(measurement.profile)
    return said


def _check_release(
    layout: Layout, release: Release, index: Index, variants: Sequence[VerifiedVariant]
) -> None:
    """The index follows from its variants, all of them of this release, and each there once."""
    names = [item.slot.variant for item in variants]
    if not names or len(set(names)) != len(names):
        raise Refused(
            f"{layout.where}: {'a variant is there twice' if names else 'no variant in it'}"
        )
    for item in variants:
        if (item.slot.model, item.slot.version) != (release.model, release.version):
            raise Refused(
                f"{layout.where}: {item.slot.variant} is of another model or version than the"
                " release"
            )
    descriptors = [
        oci.variant_descriptor(item.descriptor.digest, item.descriptor.size, item.slot)
        for item in variants
    ]
    if index != oci.release_index(release.model, release.version, descriptors):
        raise Refused(f"{layout.where}: the release index says something that edgekit does not")


def _check_rest(
    layout: Layout, top: Index, release: Release, index: Descriptor, blobs: set[str]
) -> None:
    """index.json holds what it must and no more, and so does the folder of blobs."""
    rest = [item for item in top.manifests if item.digest != index.digest]
    if len({item.digest for item in rest}) + 1 != len(top.manifests):
        raise Refused(f"{layout.where}: index.json names something twice")
    if not all(
        item.artifact_type in oci.REFERRERS for item in rest
    ) or top.to_json() != oci.top_index(
        oci.release_descriptor(index.digest, index.size, release.version),
        (oci.referrer_descriptor(item.digest, item.size, item.artifact_type) for item in rest),
    ):
        raise Refused(f"{layout.where}: index.json says something that edgekit does not")
    expected = {"oci-layout", "index.json", *(blob_name(digest) for digest in blobs)}
    found = set(layout.sizes())
    for name in sorted(found ^ expected):
        raise Refused(f"{layout.where}: {name} is {'not signed' if name in found else 'missing'}")


def _attached(layout: Layout, item: Descriptor) -> tuple[bytes, Descriptor, set[str]]:
    """The envelope of a referrer, its subject, and the blobs that make it up."""
    manifest = parse(_blob(layout, item), Manifest, f"{layout.where}: {item.artifact_type}")
    if manifest.subject is None or len(manifest.layers) != 1 or item.artifact_type is None:
        raise Refused(f"{layout.where}: a referrer needs one subject and one layer")
    layer = Descriptor(
        media_type=oci.DSSE, digest=manifest.layers[0].digest, size=manifest.layers[0].size
    )
    if manifest != referrer(manifest.subject, item.artifact_type, layer):
        raise Refused(f"{layout.where}: a referrer says something that edgekit does not")
    _blob(layout, manifest.config)
    return (
        _blob(layout, layer),
        manifest.subject,
        {item.digest, manifest.config.digest, layer.digest},
    )


def _variant(layout: Layout, item: Descriptor, said: _Said) -> VerifiedVariant:
    what = f"{layout.where}: manifest {item.digest[:19]}"
    manifest = parse(_blob(layout, item), Manifest, what)
    names = [layer.annotations.get(oci.FILEPATH, "") for layer in manifest.layers]
    if len({name.casefold() for name in names}) != len(names) or not all(map(_plain, names)):
        raise Refused(f"{what}: a file name that edgekit does not write")
    if oci.SLOT not in names:
        raise Refused(f"{what}: has no slot.json")
    slot_json = manifest.layers[names.index(oci.SLOT)]
    slot = parse(_blob(layout, slot_json), Slot, f"{what}: slot.json")
    _blob(layout, manifest.config)
    held = [
        (name, layer.digest, layer.size) for name, layer in zip(names, manifest.layers, strict=True)
    ]
    files = [(file.path, file.sha256, file.size) for file in slot.files]
    if not _is_segment(slot.variant):  # it names folders, too
        raise Refused(f"{what}: {slot.variant!r} is no name of a variant")
    if held != [*files, (oci.SLOT, slot_json.digest, slot_json.size)]:
        raise Refused(f"{what}: slot.json and the layers name different files")
    if manifest != oci.variant_manifest(manifest.config, slot, slot_json):
        raise Refused(f"{what}: says something that edgekit does not")
    return VerifiedVariant(
        descriptor=item, manifest=manifest, slot=slot,
        evidence=said.evidence.get(item.digest), profiles=tuple(said.profiles.get(item.digest, ())),
    )  # fmt: skip


def _plain(name: str) -> bool:
    """One path segment of harmless characters, of a kind that an engine reads as data: no code, no
    pickle.
    """
    return _is_segment(name) and name.endswith(SUFFIXES)


def _is_segment(name: str) -> bool:
    return (
        0 < len(name) <= 100
        and name[0] not in ".-"
        and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    )


def _blob(layout: Layout, item: Descriptor) -> bytes:
    """A small blob, checked."""
    data = read_small(layout, blob_name(item.digest))
    if len(data) != item.size or digest_bytes(data) != item.digest:
        raise Refused(f"{layout.where}: blob {item.digest[:19]} is not what its digest says")
    return data


def read_blob(layout: Layout, item: Descriptor, write: Callable[[bytes], object]) -> None:
    """Hand a blob on piece by piece; raises Refused at the end if it was not what its digest
    says.
    """
    digest, size = hashlib.sha256(), 0
    if layout.sizes().get(blob_name(item.digest)) != item.size:
        raise Refused(f"{layout.where}: blob {item.digest[:19]} has not the size that was signed")
    for piece in pieces(layout, blob_name(item.digest)):
        digest.update(piece)
        write(piece)
        size += len(piece)
    if size != item.size or f"sha256:{digest.hexdigest()}" != item.digest:
        raise Refused(f"{layout.where}: blob {item.digest[:19]} is not what its digest says")


def check_blobs(layout: Layout, verified: Verified) -> None:
    """Read every blob of every variant; raises Refused."""
    for variant in verified.variants:
        for item in variant.manifest.layers:
            read_blob(layout, item, lambda _: None)
