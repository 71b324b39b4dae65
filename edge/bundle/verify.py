"""The verdict on a bundle. Nothing is extracted and no model parser runs before it.

The signature covers the digest of the release index, hence every manifest and every blob. What lies
outside of that (oci-layout, index.json, tar headers) must be exactly what we would have written, so
it can say nothing of its own.

    layout = open_layout(Path("tickets.tar"))
    verified = verify(layout, open_trust(Path("release.pub")))   # signature, records, set of files
    check_blobs(layout, verified)                                # and every byte of the variants
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.digests import digest_bytes
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
from edgekit.nouns import Evidence, Profile, Slot

SUFFIXES = (".json", ".onnx", ".xml", ".bin", ".gguf", ".md")


@dataclass(frozen=True, kw_only=True)
class VerifiedVariant:
    """One variant whose records were signed; its blobs are checked while they are read.

    descriptor: of its manifest, as the release index has it.
    manifest: its files, as OCI has them.
    slot: what the appliance opens it from.
    evidence: what was measured of it, if somebody trusted said so.
    profiles: what was measured on devices later, by somebody trusted.
    """

    descriptor: Descriptor
    manifest: Manifest
    slot: Slot
    evidence: Evidence | None
    profiles: tuple[Profile, ...] = ()

    @property
    def layers(self) -> dict[str, Descriptor]:
        """Return the layers by file name."""
        return {layer.annotations[oci.FILEPATH]: layer for layer in self.manifest.layers}


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A bundle whose signature holds.

    release: what was signed.
    key_ids: ids of the trusted keys that signed it.
    variants: in the order of preference.
    untrusted: number of referrers that nobody trusted signed; they have no effect.
    """

    release: Release
    key_ids: tuple[str, ...]
    variants: tuple[VerifiedVariant, ...]
    untrusted: int = 0


class _Reader:
    """A reader of a layout's small files, which remembers each that something signed accounts for.

    What is left over at the end is what nobody signed.
    """

    def __init__(self, layout: Layout) -> None:
        self.where = layout.where
        self._layout = layout
        self._accounted: set[str] = set()

    def file(self, name: str) -> bytes:
        """Read a file by its name; the caller judges its contents."""
        self._accounted.add(name)
        return read_small(self._layout, name)

    def blob(self, item: Descriptor) -> bytes:
        """Read a small blob; raises Refused unless it has the digest and size that are said."""
        data = self.file(blob_name(item.digest))
        if len(data) != item.size or digest_bytes(data) != item.digest:
            raise Refused(f"{self.where}: blob {item.digest[:19]} is not what its digest says")
        return data

    def account_for(self, item: Descriptor) -> None:
        """Take note of a blob that is read later, piece by piece (see `read_blob`)."""
        self._accounted.add(blob_name(item.digest))

    def check_nothing_is_left(self) -> None:
        """Raise Refused if a file is there that nothing accounts for, or one is missing."""
        found = set(self._layout.sizes())
        for name in sorted(found ^ self._accounted):
            raise Refused(f"{self.where}: {name} is {'not signed' if name in found else 'missing'}")


def verify(layout: Layout, trust: Trust) -> Verified:
    """Check signature and structure; raises Refused.

    Blobs' contents are checked by `check_blobs` or `read_blob`.
    """
    where, reader = layout.where, _Reader(layout)
    if reader.file("oci-layout") != OCI_LAYOUT:
        raise Refused(f"{where}: oci-layout is not what edgekit writes")
    top = parse(reader.file("index.json"), Index, f"{where}: index.json")
    signatures = [item for item in top.manifests if item.artifact_type == oci.RELEASE]
    if len(signatures) != 1:
        raise Refused(f"{where}: has {len(signatures)} release signatures, and must have one")
    envelope, subject = _attached(reader, signatures[0])
    payload, key_ids = unseal(envelope, oci.RELEASE, trust.release, f"{where}: release signature")
    release = parse(payload, Release, f"{where}: release statement")
    index_descriptor = next((item for item in top.manifests if item.digest == release.index), None)
    if index_descriptor is None:
        raise Refused(f"{where}: the signed index is missing")
    if subject != oci.subject_of(index_descriptor):
        raise Refused(f"{where}: the signature hangs on another index than it signs")
    index = parse(reader.blob(index_descriptor), Index, f"{where}: release index")
    said = _read_evidence(reader, top, index, trust.evidence)
    variants = [_variant(reader, item, said) for item in index.manifests]
    _check_release(where, release, index, variants)
    _check_top(where, top, release, index_descriptor)
    reader.check_nothing_is_left()
    return Verified(
        release=release, key_ids=key_ids, variants=tuple(variants), untrusted=said.untrusted
    )


@dataclass(kw_only=True)
class _Said:
    """What was attached to variants by somebody trusted, by the digests of their manifests.

    untrusted: number of envelopes that nobody trusted signed.
    """

    evidence: dict[str, Evidence] = field(default_factory=dict)
    profiles: dict[str, list[Profile]] = field(default_factory=dict)
    untrusted: int = 0


def _read_evidence(reader: _Reader, top: Index, index: Index, signers: Signers) -> _Said:
    """Read every referrer of a variant.

    Raises Refused where one is not sound, or trusted and about something else.
    """
    said, variants = _Said(), [oci.subject_of(item) for item in index.manifests]
    for item in top.manifests:
        if item.artifact_type not in (oci.EVIDENCE, oci.PROFILE):
            continue
        envelope, subject = _attached(reader, item)
        if subject not in variants:
            raise Refused(f"{reader.where}: evidence without its variant")
        what = f"{reader.where}: {'evidence' if item.artifact_type == oci.EVIDENCE else 'profile'}"
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
    where: Path, release: Release, index: Index, variants: Sequence[VerifiedVariant]
) -> None:
    """Refuse an index that does not follow from its variants, each of this release, each once."""
    names = [item.slot.variant for item in variants]
    if not names or len(set(names)) != len(names):
        raise Refused(f"{where}: {'a variant is there twice' if names else 'no variant in it'}")
    for item in variants:
        if (item.slot.model, item.slot.version) != (release.model, release.version):
            raise Refused(
                f"{where}: {item.slot.variant} is of another model or version than the release"
            )
    descriptors = [
        oci.variant_descriptor(item.descriptor.digest, item.descriptor.size, item.slot)
        for item in variants
    ]
    if index != oci.release_index(release.model, release.version, descriptors):
        raise Refused(f"{where}: the release index says something that edgekit does not")


def _check_top(where: Path, top: Index, release: Release, index: Descriptor) -> None:
    """Refuse an index.json that names a thing twice, or is not the one that we would write."""
    rest = [item for item in top.manifests if item.digest != index.digest]
    if len({item.digest for item in rest}) + 1 != len(top.manifests):
        raise Refused(f"{where}: index.json names something twice")
    if not all(
        item.artifact_type in oci.REFERRERS for item in rest
    ) or top.to_json() != oci.top_index(
        oci.release_descriptor(index.digest, index.size, release.version),
        (oci.referrer_descriptor(item.digest, item.size, item.artifact_type) for item in rest),
    ):
        raise Refused(f"{where}: index.json says something that edgekit does not")


def _attached(reader: _Reader, item: Descriptor) -> tuple[bytes, Descriptor]:
    """Read the envelope of a referrer, and what it hangs on."""
    manifest = parse(reader.blob(item), Manifest, f"{reader.where}: {item.artifact_type}")
    if manifest.subject is None or len(manifest.layers) != 1 or item.artifact_type is None:
        raise Refused(f"{reader.where}: a referrer needs one subject and one layer")
    layer = Descriptor(
        media_type=oci.DSSE, digest=manifest.layers[0].digest, size=manifest.layers[0].size
    )
    if manifest != referrer(manifest.subject, item.artifact_type, layer):
        raise Refused(f"{reader.where}: a referrer says something that edgekit does not")
    reader.blob(manifest.config)
    return reader.blob(layer), manifest.subject


def _variant(reader: _Reader, item: Descriptor, said: _Said) -> VerifiedVariant:
    """Read the records of one variant; raises Refused where they do not follow from each other."""
    what = f"{reader.where}: manifest {item.digest[:19]}"
    manifest = parse(reader.blob(item), Manifest, what)
    names = [layer.annotations.get(oci.FILEPATH, "") for layer in manifest.layers]
    if len({name.casefold() for name in names}) != len(names) or not all(map(_is_plain, names)):
        raise Refused(f"{what}: a file name that edgekit does not write")
    if oci.SLOT not in names:
        raise Refused(f"{what}: has no slot.json")
    slot_json = manifest.layers[names.index(oci.SLOT)]
    slot = parse(reader.blob(slot_json), Slot, f"{what}: slot.json")
    reader.blob(manifest.config)
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
    for layer in manifest.layers:
        reader.account_for(layer)
    return VerifiedVariant(
        descriptor=item, manifest=manifest, slot=slot,
        evidence=said.evidence.get(item.digest), profiles=tuple(said.profiles.get(item.digest, ())),
    )  # fmt: skip


def _is_plain(name: str) -> bool:
    """Whether a file name is one harmless path segment, of a kind that an engine reads as data.

    There is no code in a bundle, and no pickle.
    """
    return _is_segment(name) and name.endswith(SUFFIXES)


def _is_segment(name: str) -> bool:
    """Whether a name is one path segment of at most 100 harmless characters."""
    return (
        0 < len(name) <= 100
        and name[0] not in ".-"
        and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    )


def read_blob(layout: Layout, item: Descriptor, write: Callable[[bytes], object]) -> None:
    """Hand a blob on piece by piece; raises Refused at the end if its digest is another."""
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
