"""The verdict on a bundle. Nothing is extracted and no model parser runs before it.

The signature covers the digest of the release index, hence every manifest and every blob. What lies outside of that
(oci-layout, index.json, tar headers) must be exactly what we would have written, so it can say nothing of its own.
"""

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from edgekit.edge.bundle import oci
from edgekit.edge.bundle.keys import Signers, unseal, unseal_if_trusted
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
from edgekit.nouns import Evidence, Profile, Slot, Unreadable, read_json

SUFFIXES = (".json", ".onnx", ".xml", ".bin", ".gguf", ".md")
T = TypeVar("T", Slot, Statement, Measurement)


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
    """Check signature and structure; raises Refused. Blobs' contents are checked by `check_blobs` or `read_blob`."""
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
    if subject != release.index:
        raise Refused(f"{where}: the signature hangs on another index than it signs")

    index_descriptor = next((item for item in top.manifests if item.digest == release.index), None)
    if index_descriptor is None:
        raise Refused(f"{where}: the signed index is missing")
    index = parse(_blob(layout, index_descriptor), Index, f"{where}: release index")
    blobs |= {release.index}
    said = _read_evidence(layout, top, trust.evidence)
    blobs |= said.blobs
    variants = []
    for item in index.manifests:
        found = _variant(
            layout, item, said.evidence.pop(item.digest, None), said.profiles.pop(item.digest, [])
        )
        if (found.slot.model, found.slot.version) != (release.model, release.version):
            raise Refused(f"{where}: {found.slot.variant} is of another model or version than the release")
        variants.append(found)
        blobs |= {item.digest, found.manifest.config.digest}
        blobs |= {layer.digest for layer in found.manifest.layers}
    if said.evidence or said.profiles or not variants:
        raise Refused(
            f"{where}: no variant in it" if not variants else f"{where}: evidence without its variant"
        )
    _check_rest(layout, top, release, index_descriptor, blobs)
    return Verified(release=release, key_ids=key_ids, variants=tuple(variants), untrusted=said.untrusted)


@dataclass(kw_only=True)
class _Said:
    """What was attached to variants, by their digests. untrusted: how many envelopes nobody trusted signed."""

    evidence: dict[str, Evidence] = field(default_factory=dict)
    profiles: dict[str, list[Profile]] = field(default_factory=dict)
    untrusted: int = 0
    blobs: set[str] = field(default_factory=set)


def _read_evidence(layout: Layout, top: Index, signers: Signers) -> _Said:
    """Every referrer of a variant; raises Refused where one is not sound, or trusted and about something else."""
    said = _Said()
    for item in top.manifests:
        if item.artifact_type not in (oci.EVIDENCE, oci.PROFILE):
            continue
        envelope, subject, blobs = _attached(layout, item)
        said.blobs |= blobs
        what = f"{layout.where}: {'evidence' if item.artifact_type == oci.EVIDENCE else 'profile'}"
        payload = unseal_if_trusted(envelope, item.artifact_type, signers, what)
        if payload is None:
            said.untrusted += 1
        elif item.artifact_type == oci.EVIDENCE:
            statement = _decode(payload, Statement, what)
            _check_subject(statement.subject, subject, said.evidence, what)
            said.evidence[subject] = statement.evidence
        else:
            measurement = _decode(payload, Measurement, what)
            _check_subject(measurement.subject, subject, (), what)
            said.profiles.setdefault(subject, []).append(measurement.profile)
    return said


def _check_subject(said: str, subject: str, taken: Container[str], what: str) -> None:
    """Evidence is about what it hangs on, one on each variant."""
    if said != subject or subject in taken:
        raise Refused(f"{what} hangs on another variant than it is about")


def _check_rest(layout: Layout, top: Index, release: Release, index: Descriptor, blobs: set[str]) -> None:
    """index.json holds what it must and no more, and so does the folder of blobs."""
    rest = [item for item in top.manifests if item.digest != index.digest]
    if not all(item.artifact_type in oci.REFERRERS for item in rest) or top.to_json() != oci.top_index(
        oci.release_descriptor(index.digest, index.size, release.version),
        (oci.referrer_descriptor(item.digest, item.size, item.artifact_type) for item in rest),
    ):
        raise Refused(f"{layout.where}: index.json says something that edgekit does not")
    expected = {"oci-layout", "index.json", *(blob_name(digest) for digest in blobs)}
    found = set(layout.sizes())
    for name in sorted(found ^ expected):
        raise Refused(f"{layout.where}: {name} is {'not signed' if name in found else 'missing'}")


def _attached(layout: Layout, item: Descriptor) -> tuple[bytes, str, set[str]]:
    """The envelope of a referrer, the digest of its subject, and the blobs that make it up."""
    manifest = parse(_blob(layout, item), Manifest, f"{layout.where}: {item.artifact_type}")
    if manifest.subject is None or len(manifest.layers) != 1 or item.artifact_type is None:
        raise Refused(f"{layout.where}: a referrer needs one subject and one layer")
    if manifest != referrer(manifest.subject, item.artifact_type, _bare(manifest.layers[0])):
        raise Refused(f"{layout.where}: a referrer says something that edgekit does not")
    _blob(layout, manifest.config)
    blobs = {item.digest, manifest.config.digest, manifest.layers[0].digest}
    return _blob(layout, manifest.layers[0]), manifest.subject.digest, blobs


def _bare(item: Descriptor) -> Descriptor:
    return Descriptor(media_type=oci.DSSE, digest=item.digest, size=item.size)


def _variant(
    layout: Layout, item: Descriptor, evidence: Evidence | None, profiles: Sequence[Profile]
) -> VerifiedVariant:
    what = f"{layout.where}: manifest {item.digest[:19]}"
    manifest = parse(_blob(layout, item), Manifest, what)
    names = [layer.annotations.get(oci.FILEPATH, "") for layer in manifest.layers]
    if len(set(names)) != len(names) or not all(_plain(name) for name in names):
        raise Refused(f"{what}: a file name that edgekit does not write")
    slot_layer = next(
        (layer for layer in manifest.layers if layer.annotations[oci.FILEPATH] == "slot.json"), None
    )
    if slot_layer is None:
        raise Refused(f"{what}: has no slot.json")
    _blob(layout, manifest.config)
    slot = _decode(_blob(layout, slot_layer), Slot, f"{what}: slot.json")
    said = {file.path: (file.sha256, file.size) for file in slot.files}
    held = {name: (layer.digest, layer.size) for name, layer in zip(names, manifest.layers, strict=True)}
    if held != {**said, "slot.json": (slot_layer.digest, slot_layer.size)}:
        raise Refused(f"{what}: slot.json and the layers name different files")
    return VerifiedVariant(
        descriptor=item, manifest=manifest, slot=slot, evidence=evidence, profiles=tuple(profiles),
    )  # fmt: skip


def _plain(name: str) -> bool:
    """One path segment of harmless characters, of a kind that an engine reads as data: no code, no pickle."""
    return (
        0 < len(name) <= 100
        and name.endswith(SUFFIXES)
        and name[0] not in ".-"
        and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    )


def _decode(data: bytes, kind: type[T], what: str) -> T:
    try:
        return read_json(data, kind)
    except Unreadable as error:
        raise Refused(f"{what}: this version of edgekit can't read it: {error}") from None


def _blob(layout: Layout, item: Descriptor) -> bytes:
    """A small blob, checked."""
    data = read_small(layout, blob_name(item.digest))
    if len(data) != item.size or digest_bytes(data) != item.digest:
        raise Refused(f"{layout.where}: blob {item.digest[:19]} is not what its digest says")
    return data


def read_blob(layout: Layout, item: Descriptor, write: Callable[[bytes], object]) -> None:
    """Hand a blob on piece by piece; raises Refused at the end if it was not what its digest says."""
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
