"""Attaches measurements on a device to a signed bundle, each signed by the evidence role."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from edgekit.edge.bundle import oci
from edgekit.edge.bundle.layout import Layout, open_layout, pieces, read_small, write_layout
from edgekit.edge.bundle.oci import Index, parse, top_index
from edgekit.edge.bundle.trust import Trust
from edgekit.edge.bundle.verify import check_blobs, verify
from edgekit.errors import InputError
from edgekit.nouns import Profile
from edgekit.release.pack import Contents
from edgekit.release.signing import seal


def attach(
    bundle: Path, profiles: Sequence[Profile], trust: Trust, signer: CryptoSigner, out: Path
) -> int:
    """Write the bundle once more, with the profiles of its variants; returns how many there were.

    The release and its signature stay as they are: what is deployed does not change. Raises
    Refused, InputError.
    """
    layout = open_layout(bundle)
    verified = verify(layout, trust)
    check_blobs(layout, verified)
    variants = {item.descriptor.digest: item.descriptor for item in verified.variants}
    mine = [item for item in profiles if item.manifest in variants]
    if not mine:
        raise InputError(f"{bundle}: holds none of the variants that were measured")
    contents = Contents()
    top = parse(read_small(layout, "index.json"), Index, f"{bundle}: index.json")
    release, *referrers = top.manifests
    for profile in mine:
        said = oci.Measurement(subject=profile.manifest, profile=profile)
        envelope = seal(said.to_json(), oci.PROFILE, [signer])
        added = contents.attach(variants[profile.manifest], oci.PROFILE, envelope)
        referrers += [added] if added not in referrers else []
    contents.small["index.json"] = top_index(release, referrers)
    with tempfile.TemporaryDirectory(prefix=".attaching.", dir=out.resolve().parent) as work:
        write_layout(out, contents.small, _copies(layout, Path(work), set(contents.small)))
    return len(mine)


def _copies(layout: Layout, work: Path, replaced: set[str]) -> dict[str, Path]:
    """Copy every file of the layout that is not replaced into a file of its own."""
    files = {}
    for number, name in enumerate(sorted(set(layout.sizes()) - replaced)):
        files[name] = work / str(number)
        with files[name].open("wb") as target:
            target.writelines(pieces(layout, name))
    return files
