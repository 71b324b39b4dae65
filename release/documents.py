"""The papers of a variant: model card, bill of materials (CycloneDX 1.6), provenance of the build.

The provenance is an in-toto statement with SLSA's predicate. The papers travel as layers beside the
model and lie in its slot. There is no time and no random number in them: the same build gives the
same bytes.
"""

import json
import uuid
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from edgekit.confidence import upper_bound
from edgekit.edge.bundle.oci import CARD, PROVENANCE, SBOM
from edgekit.errors import MissingPackage
from edgekit.nouns import Artifact, Build, Evidence, File
from edgekit.profiles.report.reference import reference_notes

# of the serial numbers of our bills of materials
NAMESPACE = uuid.UUID("0b7d3c0e-58b5-5c1e-9d0b-3b8a4f1f6c52")


def papers(build: Build, artifact: Artifact, evidence: Evidence) -> dict[str, bytes]:
    """Make every paper of a variant, by its file name.

    Raises MissingPackage without cyclonedx-python-lib.
    """
    return {
        CARD: card(build, artifact, evidence).encode(),
        SBOM: _canonical(bill_of_materials(build, artifact, evidence)),
        PROVENANCE: _canonical(provenance(build, artifact)),
    }


def card(build: Build, artifact: Artifact, evidence: Evidence) -> str:
    """Write the model card: what it is, what was measured and on what, what is not known."""
    quality, speed = evidence.quality, evidence.performance
    drop = upper_bound(quality.comparison, build.tested_confidence)
    classes = "".join(
        f"| {name} | {counts.found + counts.missed} | {_share(counts.recall)} |"
        f" {_share(counts.precision)} |\n"
        for name, counts in quality.classes.items()
    )
    form = f"{artifact.format}, {artifact.precision}, {artifact.method}"
    samples = quality.comparison.samples
    accuracy = (
        f"{quality.metric} {quality.metric_value:.4f}, reference {quality.reference_value:.4f}"
    )
    rate, memory = speed.samples_per_s.value, speed.peak_rss_bytes / 1e6
    limits = ", ".join(f"{key} = {value}" for key, value in sorted(build.limits.given().items()))
    calibration = quality.calibration_sha256 or "none"
    reference = "".join(f"* {line}.\n" for line in reference_notes(build))
    text = f"""\
# {build.model} {build.version}

A {build.task} model for {build.target} ({build.architecture}): {form}.
It is run by {artifact.engine} {evidence.versions.get(artifact.engine, "")}.

* Source: {build.source_sha256 or "unknown"}; compared with: {build.reference}.
* {accuracy}, {samples} samples.
  The drop is at most {drop:.4f} at a confidence of {build.tested_confidence:.4f}.
* p50 {speed.p50_ms.value:.2f} ms, {rate:.0f} samples/s, {memory:.0f} MB at most.
  Measured on: {evidence.machine}.
{reference}* Limits of the build: {limits or "none"}.
* Evaluation data: {quality.evaluation_sha256}. Calibration data: {calibration}.
  No row of either is in this bundle but those that the spec released as golden samples.
* Use it for inputs like those that it was evaluated on; of others nothing is known.
"""
    return (
        text + f"\n| class | samples | recall | precision |\n| --- | --- | --- | --- |\n{classes}"
        if classes
        else text
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def bill_of_materials(build: Build, artifact: Artifact, evidence: Evidence) -> Any:  # noqa: ANN401 - JSON
    """Make the CycloneDX bill: the model, its files, and the packages that made and run it."""
    try:
        bom, component, model, output = (
            import_module(f"cyclonedx.{name}")
            for name in ("model.bom", "model.component", "model", "output")
        )
        schema, purl = import_module("cyclonedx.schema"), import_module("packageurl")
    except ModuleNotFoundError:
        raise MissingPackage.of(
            "cyclonedx-python-lib (for the bundle's bill of materials)", "build"
        ) from None
    kind = component.ComponentType

    def file_of(file: File) -> Any:  # noqa: ANN401
        digest = model.HashType(
            alg=model.HashAlgorithm.SHA_256, content=file.sha256.removeprefix("sha256:")
        )
        return component.Component(
            name=file.path, type=kind.FILE, bom_ref=f"file:{file.path}", hashes=[digest]
        )

    main = component.Component(
        name=build.model,
        version=build.version,
        type=kind.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        description=f"{build.task}, {artifact.name}",
        components=[file_of(file) for file in artifact.files],
        properties=[
            model.Property(name=f"edgekit:{name}", value=value)
            for name, value in (
                ("variant", artifact.name),
                ("engine", artifact.engine),
                ("source", build.source_sha256),
                ("device-class", build.target),
            )
        ],
    )
    packages = {**build.versions, **{_package(name): of for name, of in evidence.versions.items()}}
    tools = [
        component.Component(
            name=name, version=version, type=kind.LIBRARY, bom_ref=f"pkg:{name}",
            purl=purl.PackageURL("pypi", None, name.lower(), version) if name != "python" else None,
        )
        for name, version in sorted(packages.items())
    ]  # fmt: skip
    found = bom.Bom(
        serial_number=uuid.uuid5(NAMESPACE, artifact.key),
        metadata=bom.BomMetaData(component=main),
        components=tools,
    )
    found.register_dependency(
        main,
        [item for item in tools if item.name in (_package(artifact.engine), "edgekit", "python")],
    )
    writer = output.make_outputter(found, schema.OutputFormat.JSON, schema.SchemaVersion.V1_6)
    said = json.loads(writer.output_as_string())
    said["metadata"].pop("timestamp", None)
    return said


def _package(engine: str) -> str:
    return "llama-cpp-python" if engine == "llama.cpp" else engine


def provenance(build: Build, artifact: Artifact) -> Any:  # noqa: ANN401 - JSON
    """Make the provenance of a variant: how its files were made, in-toto with SLSA v1."""
    dependencies = [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in (
            ("source", build.source_sha256),
            ("calibration", artifact.calibration_sha256),
        )
        if digest
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": _subjects(artifact.files),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://edgekit.dev/build/v1",
                "externalParameters": {
                    "model": build.model,
                    "version": build.version,
                    "task": build.task,
                    "recipe": artifact.name,
                    "target": build.target,
                    "isa": list(build.isa),
                    "objective": build.objective,
                    "limits": build.limits.given(),
                    "calibrationSamples": artifact.calibration_samples,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": "https://edgekit.dev/build", "version": build.versions}
            },
        },
    }


def _subjects(files: Sequence[File]) -> list[dict[str, object]]:
    return [
        {"name": file.path, "digest": {"sha256": file.sha256.removeprefix("sha256:")}}
        for file in files
    ]


def _canonical(value: Any) -> bytes:  # noqa: ANN401
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"
