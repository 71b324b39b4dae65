"""Adopting: a bundle that other tools have carried through a registry becomes canonical again.

OCI tools copy manifests and layers as they are, but write an index.json of their own, and some an
image index of their own. What they have changed follows from what they have not, so it is written
anew; the signature then has the verdict. Nothing is trusted here.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from edgekit.digests import digest_bytes
from edgekit.edge.bundle import oci
from edgekit.edge.bundle.envelope import peek
from edgekit.edge.bundle.layout import MAX_SMALL, OCI_LAYOUT, blob_name, write_layout
from edgekit.edge.bundle.oci import Descriptor, Index, Manifest, Release, parse
from edgekit.errors import InputError, Refused
from edgekit.nouns import Slot, Unreadable, read_json


def adopt(folder: Path, out: Path) -> str:
    """Write the bundle of an OCI image layout of any spelling to `out`; returns its digest.

    That is the digest of the release. Raises InputError where there is no edgekit bundle in it,
    Refused where its parts do not make up what was signed.
    """
    blobs = folder / "blobs" / "sha256"
    if not blobs.is_dir():
        raise InputError(f"{folder}: not an OCI image layout: it has no blobs/sha256")
    manifests = dict(_manifests(blobs))
    referrers = [
        (digest, item) for digest, item in manifests.items() if item.artifact_type in oci.REFERRERS
    ]
    signatures = [item for _, item in referrers if item.artifact_type == oci.RELEASE]
    if len(signatures) != 1:
        raise InputError(
            f"{folder}: has {len(signatures)} release signatures, and must have one: copy what"
            " index.json names as well"
        )
    release = _release(blobs, signatures[0])
    index = _index(blobs, release, manifests)
    named = [item.digest for item in index.manifests] + [digest for digest, _ in referrers]
    kept = {
        *named,
        *(
            part.digest
            for digest in named
            if digest in manifests
            for part in _parts(manifests[digest])
        ),
    }
    files = {blob_name(digest): folder / blob_name(digest) for digest in kept}
    for path in files.values():
        if not path.is_file():
            raise InputError(f"{path}: is missing; copy the bundle again")
    top = oci.top_index(
        oci.release_descriptor(release.index, len(index.to_json()), release.version),
        [
            oci.referrer_descriptor(
                digest, files[blob_name(digest)].stat().st_size, item.artifact_type
            )
            for digest, item in referrers
        ],
    )
    small = {"oci-layout": OCI_LAYOUT, "index.json": top, blob_name(release.index): index.to_json()}
    write_layout(out, small, files)
    return release.index


def _parts(manifest: Manifest) -> list[Descriptor]:
    return [manifest.config, *manifest.layers]


def _manifests(blobs: Path) -> Iterator[tuple[str, Manifest]]:
    """Find every blob that is one of our manifests, by its digest."""
    for path in sorted(blobs.iterdir()):
        if path.stat().st_size <= MAX_SMALL:
            data = path.read_bytes()
            with suppress(Refused):  # a layer, or a record of another tool
                yield digest_bytes(data), parse(data, Manifest, path.name)


def _release(blobs: Path, signature: Manifest) -> Release:
    if not signature.layers:
        raise Refused(f"{blobs}: its release signature is empty")
    path = blobs / signature.layers[0].digest.removeprefix("sha256:")
    if not path.is_file():
        raise InputError(f"{path}: is missing; copy the bundle again")
    return parse(peek(path.read_bytes(), oci.RELEASE, str(path)), Release, str(path))


def _index(blobs: Path, release: Release, manifests: dict[str, Manifest]) -> Index:
    """Find the release index that was signed.

    It is there as it was carried, or is made anew from another tool's list of the variants.
    """
    path = blobs / release.index.removeprefix("sha256:")
    if path.is_file():
        return parse(path.read_bytes(), Index, str(path))
    for digests in _lists(blobs):
        if digests and all(digest in manifests for digest in digests):
            variants = [_variant(blobs, digest, manifests[digest]) for digest in digests]
            index = oci.release_index(release.model, release.version, variants)
            if digest_bytes(index.to_json()) == release.index:
                return index
    raise Refused(
        f"{blobs}: the index that was signed is missing, and does not follow from what is there"
    )


def _lists(blobs: Path) -> Iterator[list[str]]:
    """List the digests that each image index among the blobs names, in its order."""
    for path in sorted(blobs.iterdir()):
        if path.stat().st_size <= MAX_SMALL:
            with suppress(Unreadable):
                yield [item.digest for item in read_json(path.read_bytes(), _AnyIndex).manifests]


class _AnyDescriptor(msgspec.Struct, frozen=True):
    digest: str


class _AnyIndex(msgspec.Struct, frozen=True):
    manifests: list[_AnyDescriptor]


def _variant(blobs: Path, digest: str, manifest: Manifest) -> Descriptor:
    layers = {layer.annotations.get(oci.FILEPATH): layer.digest for layer in manifest.layers}
    path = blobs / layers.get(oci.SLOT, "").removeprefix("sha256:")
    try:
        slot = read_json(path.read_bytes(), Slot)
    except (OSError, Unreadable):
        raise Refused(f"{blobs}: manifest {digest[:19]} has no slot.json") from None
    size = (blobs / digest.removeprefix("sha256:")).stat().st_size
    return oci.variant_descriptor(digest, size, slot)
