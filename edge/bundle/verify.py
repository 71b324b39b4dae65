"""The verdict on a bundle. Nothing is extracted and no model parser runs before it.

The signature covers the digest of the release index, hence every manifest and every blob. What lies outside of that
(oci-layout, index.json, tar headers) must be exactly what we would have written, so it can say nothing of its own.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from securesystemslib.signer import Key

from edgekit.edge.bundle import oci
from edgekit.edge.bundle.keys import unseal
from edgekit.edge.bundle.layout import OCI_LAYOUT, Layout, blob_name, read_small
from edgekit.edge.bundle.oci import (
    Descriptor,
    Index,
    Manifest,
    Release,
    Statement,
    parse,
    referrer,
    top_index,
)
from edgekit.errors import Refused
from edgekit.files import digest_bytes
from edgekit.nouns import Evidence, Slot, Unreadable, read_json

T = TypeVar("T", Slot, Statement)


@dataclass(frozen=True, kw_only=True)
class VerifiedVariant:
    """One variant whose records were signed; its blobs are checked while they are read."""

    descriptor: Descriptor
    manifest: Manifest
    slot: Slot
    evidence: Evidence | None

    @property
    def layers(self) -> dict[str, Descriptor]:
        """The layers by file name."""
        return {layer.annotations[oci.FILEPATH]: layer for layer in self.manifest.layers}


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A bundle whose signature holds."""

    release: Release
    key_id: str
    variants: tuple[VerifiedVariant, ...]


def verify(layout: Layout, keys: Sequence[Key]) -> Verified:
    """Check signature and structure; raises Refused. Blobs' contents are checked by `check_blobs` or `read_blob`."""
    where = layout.where
    if read_small(layout, "oci-layout") != OCI_LAYOUT:
        raise Refused(f"{where}: oci-layout is not what edgekit writes")
    top = parse(read_small(layout, "index.json"), Index, f"{where}: index.json")
    signatures = [item for item in top.manifests if item.artifact_type == oci.RELEASE]
    if len(signatures) != 1:
        raise Refused(f"{where}: has {len(signatures)} release signatures, and must have one")
    envelope, subject, blobs = _attached(layout, signatures[0])
    payload, key_id = unseal(envelope, oci.RELEASE, keys, f"{where}: release signature")
    release = parse(payload, Release, f"{where}: release statement")
    if subject != release.index:
        raise Refused(f"{where}: the signature hangs on another index than it signs")

    index_descriptor = next((item for item in top.manifests if item.digest == release.index), None)
    if index_descriptor is None:
        raise Refused(f"{where}: the signed index is missing")
    index = parse(_blob(layout, index_descriptor), Index, f"{where}: release index")
    blobs |= {release.index}
    evidence = {}
    for item in top.manifests:
        if item.artifact_type == oci.EVIDENCE:
            envelope, subject, more = _attached(layout, item)
            payload, _ = unseal(envelope, oci.EVIDENCE, keys, f"{where}: evidence")
            statement = _decode(payload, Statement, f"{where}: evidence")
            if statement.subject != subject or subject in evidence:
                raise Refused(f"{where}: evidence hangs on another variant than it is about")
            evidence[subject] = statement.evidence
            blobs |= more
    variants = []
    for item in index.manifests:
        variants.append(_variant(layout, item, evidence.pop(item.digest, None)))
        blobs |= {item.digest, variants[-1].manifest.config.digest}
        blobs |= {layer.digest for layer in variants[-1].manifest.layers}
    if evidence or not variants:
        raise Refused(f"{where}: evidence without its variant" if evidence else f"{where}: no variant in it")
    _check_rest(layout, top, release, index_descriptor, blobs)
    return Verified(release=release, key_id=key_id, variants=tuple(variants))


def _check_rest(layout: Layout, top: Index, release: Release, index: Descriptor, blobs: set[str]) -> None:
    """index.json holds what it must and no more, and so does the folder of blobs."""
    rest = [item for item in top.manifests if item.digest != index.digest]
    canonical = [
        Descriptor(
            media_type=oci.INDEX, digest=index.digest, size=index.size, artifact_type=oci.MODEL,
            annotations={oci.REF_NAME: release.version},
        ),
        *(
            Descriptor(media_type=oci.MANIFEST, digest=item.digest, size=item.size, artifact_type=item.artifact_type)
            for item in rest
        ),
    ]  # fmt: skip
    is_known = all(item.artifact_type in (oci.RELEASE, oci.EVIDENCE) for item in rest)
    if not is_known or top_index(canonical) != top.to_json():
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


def _variant(layout: Layout, item: Descriptor, evidence: Evidence | None) -> VerifiedVariant:
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
    slot = _decode(_blob(layout, slot_layer), Slot, f"{what}: slot.json")
    said = {file.path: (file.sha256, file.size) for file in slot.files}
    held = {name: (layer.digest, layer.size) for name, layer in zip(names, manifest.layers, strict=True)}
    if held != {**said, "slot.json": (slot_layer.digest, slot_layer.size)}:
        raise Refused(f"{what}: slot.json and the layers name different files")
    return VerifiedVariant(descriptor=item, manifest=manifest, slot=slot, evidence=evidence)


def _plain(name: str) -> bool:
    """One path segment of harmless characters."""
    return (
        0 < len(name) <= 100
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
    digest, left = hashlib.sha256(), item.size
    if layout.sizes().get(blob_name(item.digest)) != item.size:
        raise Refused(f"{layout.where}: blob {item.digest[:19]} has not the size that was signed")
    with layout.open(blob_name(item.digest)) as file:
        while left and (chunk := file.read(min(left, 1 << 20))):
            digest.update(chunk)
            write(chunk)
            left -= len(chunk)
    if left or f"sha256:{digest.hexdigest()}" != item.digest:
        raise Refused(f"{layout.where}: blob {item.digest[:19]} is not what its digest says")


def check_blobs(layout: Layout, verified: Verified) -> None:
    """Read every blob of every variant; raises Refused."""
    for variant in verified.variants:
        for item in (variant.manifest.config, *variant.manifest.layers):
            read_blob(layout, item, lambda _: None)
