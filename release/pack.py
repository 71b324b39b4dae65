"""Packing: the chosen variant with its evidence and golden samples becomes a signed bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from securesystemslib.signer import CryptoSigner

from edgekit.digests import describe_bytes, describe_file, digest_bytes
from edgekit.edge.bundle import oci
from edgekit.edge.bundle.layout import OCI_LAYOUT, blob_name, write_layout
from edgekit.edge.bundle.oci import Descriptor, describe
from edgekit.errors import InputError
from edgekit.nouns import Artifact, Build, Evidence, File, Golden, MeasuredVariant, Slot, read_json
from edgekit.profiles.build_folder import golden_file, model_folder, read_build
from edgekit.release.documents import papers
from edgekit.release.signing import seal

# Of the answers' standard deviation: how far a variant may be from its own answers at build time on
# another CPU that its slot allows (benchmarks/golden.py measures it). Products of 16-bit floats add
# up differently on each generation.
TOLERANCE_SHARE = 0.01
TOLERANCE_SHARES = {"bf16": 0.02}
TOLERANCE_FACTOR = 2.0  # of what it was off the reference, where its own answers are not known
# Where the build had no limit for p99, "too slow" is far from what was measured.
SLOWEST_MS, SLOW_FACTOR = 1000.0, 20.0


class Contents:
    """The blobs of a bundle in the making: small ones in memory, large ones as files to copy."""

    def __init__(self) -> None:
        self.small: dict[str, bytes] = {}
        self.large: dict[str, Path] = {}

    def add(self, data: bytes, media_type: str) -> Descriptor:
        """Add a small blob; return its descriptor."""
        descriptor = describe(data, media_type)
        self.small[blob_name(descriptor.digest)] = data
        return descriptor

    def add_file(self, path: Path, file: File) -> None:
        """Add a file of the model; raises InputError if it changed since it was built."""
        if not path.is_file():
            raise InputError(f"{path}: is not there; run edgekit build again")
        if describe_file(path, file.path) != file:
            raise InputError(f"{path}: changed since it was built; run edgekit build again")
        self.large[blob_name(file.sha256)] = path

    def attach(self, subject: Descriptor, artifact_type: str, envelope: bytes) -> Descriptor:
        """Attach a DSSE envelope as an OCI referrer of `subject`; return its descriptor."""
        self.add(b"{}", oci.EMPTY)
        layer = self.add(envelope, oci.DSSE)
        manifest = oci.referrer(subject, artifact_type, layer)
        data = manifest.to_json()
        self.add(data, oci.MANIFEST)
        return oci.referrer_descriptor(digest_bytes(data), len(data), artifact_type)


class Signing(NamedTuple):
    """The keys and the counter that a release is packed with.

    release: the keys that sign the release.
    evidence: the key that vouches for what was measured.
    counter: the release counter; None takes it from the version.
    """

    release: Sequence[CryptoSigner]
    evidence: CryptoSigner
    counter: int | None = None


def pack_build(
    folder: Path, names: list[str], signing: Signing, out: Path
) -> tuple[str, list[str]]:
    """Pack the named variants of a finished build; return the release's digest and the names.

    folder: the build's output.
    names: the variants; without any, the one that was chosen.

    Raises InputError.
    """
    build = read_build(folder)
    if not names and build.choice.chosen is None:
        raise InputError(
            f"{folder}: nothing was chosen ({build.choice.reason}); name one with --variant"
        )
    names = names or [str(build.choice.chosen)]
    reasons = {variant.name: variant.reason for variant in build.variants}
    measured = {variant.name: variant for variant in build.measured}
    for name in names:
        if name not in reasons:
            raise InputError(
                f"--variant {name}: {folder} has no such variant; it has: {', '.join(reasons)}"
            )
        if name not in measured:
            raise InputError(
                f"--variant {name}: was not measured ({reasons[name]}), so it can't be packed"
            )
    digest = pack(build, [measured[name] for name in names], folder, signing, out)
    return digest, names


def pack(
    build: Build, variants: Sequence[MeasuredVariant], folder: Path, signing: Signing, out: Path
) -> str:
    """Write the variants, in order of preference, to `out`; return the digest of the release."""
    counter = counter_of(build.version) if signing.counter is None else signing.counter
    contents = Contents()
    manifests: list[Descriptor] = []
    referrers: list[Descriptor] = []
    for variant in variants:
        manifest = _add_variant(contents, build, variant.artifact, variant.evidence, folder)
        manifests.append(manifest)
        statement = oci.Statement(subject=manifest.digest, evidence=variant.evidence)
        referrers.append(
            contents.attach(
                manifest, oci.EVIDENCE, seal(statement.to_json(), oci.EVIDENCE, [signing.evidence])
            )
        )
    release = contents.add(
        oci.release_index(build.model, build.version, manifests).to_json(), oci.INDEX
    )
    index = oci.release_descriptor(release.digest, release.size, build.version)
    said = oci.Release(
        model=build.model, version=build.version, counter=counter, index=index.digest
    )
    signature = contents.attach(
        index, oci.RELEASE, seal(said.to_json(), oci.RELEASE, signing.release)
    )
    contents.small["index.json"] = oci.top_index(index, [signature, *referrers])
    contents.small["oci-layout"] = OCI_LAYOUT
    write_layout(out, contents.small, contents.large)
    return index.digest


def counter_of(version: str) -> int:
    """Return the release counter that follows from a version: 1.4.2 is 1004002.

    A version has one to three numbers below 1000; raises InputError for any other.
    """
    parts = version.split(".")
    if len(parts) > 3 or not all(
        part.isascii() and part.isdigit() and int(part) < 1000 for part in parts
    ):
        raise InputError(
            f"version {version!r} has no order that a device could follow (1.4.2 has); give the"
            " release a --counter"
        )
    major, minor, patch = (int(part) for part in (*parts, *["0"] * (3 - len(parts))))
    return major * 1_000_000 + minor * 1_000 + patch


def _add_variant(
    contents: Contents, build: Build, artifact: Artifact, evidence: Evidence, folder: Path
) -> Descriptor:
    samples, tolerance = golden_of(folder, artifact, evidence)
    golden = describe_file(samples, oci.GOLDEN)
    for file in artifact.files:
        contents.add_file(model_folder(folder, artifact.name) / file.path, file)
    contents.add_file(samples, golden)
    documents = papers(build, artifact, evidence)
    for data in documents.values():
        contents.add(data, "")
    slot = Slot(
        model=build.model,
        version=build.version,
        variant=artifact.name,
        format=artifact.format,
        precision=artifact.precision,
        engine=artifact.engine,
        engine_version=evidence.versions[artifact.engine],
        architecture=build.architecture,
        isa=needed_isa(build, artifact),
        setting=evidence.setting,
        cores=build.cores,
        golden_tolerance=tolerance,
        device_class=build.target,
        slow_ms=build.limits.p99_ms
        or max(SLOWEST_MS, SLOW_FACTOR * evidence.performance.p50_ms.value),
        memory_bytes=evidence.performance.peak_rss_bytes,
        files=(
            *artifact.files,
            golden,
            *(describe_bytes(data, name) for name, data in documents.items()),
        ),
    )
    config = contents.add(_model_config(build, artifact), oci.MODEL_CONFIG)
    manifest = oci.variant_manifest(config, slot, contents.add(slot.to_json(), "")).to_json()
    held = contents.add(manifest, oci.MANIFEST)
    return oci.variant_descriptor(held.digest, held.size, slot)


def needed_isa(build: Build, artifact: Artifact) -> tuple[str, ...]:
    """Return the CPU features that a device must have to run this artifact as it was measured.

    bf16 has to be there; int8 products must not overflow where the recipe did not reduce the range
    of the weights.
    """
    if artifact.precision == "bf16":
        return ("bf16",)
    vnni = tuple(name for name in build.isa if name in ("avx512_vnni", "avx_vnni"))
    return (
        vnni[:1] if artifact.format in ("onnx", "openvino") and artifact.precision == "int8" else ()
    )


def _model_config(build: Build, artifact: Artifact) -> bytes:
    """Make ModelPack's own config, for the tools that read it; edgekit reads slot.json."""
    kind = build.task.split("-")[0]
    config = {
        "descriptor": {"name": build.model, "version": build.version},
        "config": {
            "format": artifact.format,
            "precision": artifact.precision,
            "capabilities": {
                "inputTypes": [kind if kind in ("text", "image") else "other"],
                "outputTypes": ["other"],
            },
        },
        "modelfs": {"type": "layers", "diffIds": [file.sha256 for file in artifact.files]},
    }
    return msgspec.json.encode(config, order="sorted")


def golden_of(folder: Path, artifact: Artifact, evidence: Evidence) -> tuple[Path, float]:
    """Return a variant's golden samples and the largest difference that a healthy device may show.

    The samples hold the variant's own answers, so that the whole error of quantizing is no slack
    for what is broken. Where a build did not keep these, they hold the reference's answers, and the
    difference grows by twice what the variant is off them.
    """
    own, reference = golden_file(folder, artifact.name), folder / oci.GOLDEN
    path = own if own.is_file() else reference
    answers = np.concatenate(
        [np.ravel(answer) for answer in read_json(path.read_bytes(), Golden).answers]
    )
    spread = TOLERANCE_SHARES.get(artifact.precision, TOLERANCE_SHARE) * float(np.std(answers))
    return path, spread + (
        0.0 if path is own else TOLERANCE_FACTOR * evidence.quality.golden_difference
    )
