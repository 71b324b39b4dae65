"""A small real model, made in no time: three numbers in, one of three labels out.

It deploys and serves.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.digests import describe_folder
from edgekit.edge.model.tensor_model import open_model
from edgekit.nouns import Artifact, Build, Golden, Limits, Measured, MeasuredVariant, Setting
from edgekit.profiles.build_folder import model_folder
from edgekit.release.pack import Signing, pack
from edgekit.release.signing import load_signer
from edgekit.targets.detect import closest_target, detect_machine
from tests import evidence

LABELS = ["sound", "worn", "leaking"]
FEATURES = ["vibration", "temperature", "pressure"]
INPUTS: list[object] = [[0.5, -1.0, 2.0], [3.0, 0.0, -0.5], [-2.0, 1.5, 0.25], [0.0, 0.0, 1.0]]
Change = Callable[[onnx.ModelProto], None]


def weights(seed: int = 0) -> np.ndarray:
    """Make the weights of the small model, [features, labels]."""
    return np.random.default_rng(seed).standard_normal((3, 3)).astype(np.float32)


def model(matrix: np.ndarray) -> onnx.ModelProto:
    """Make the small model's graph: softmax(features @ matrix)."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "matrix"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_project(folder: Path) -> Path:
    """Write the small model with data and a spec, which build without PyTorch; return the spec."""
    matrix, random = weights(), np.random.default_rng(1)
    model_at = folder / "model"
    model_at.mkdir(parents=True)
    onnx.save(model(matrix), model_at / "model.onnx")
    task = {"task": "tabular-classification", "labels": LABELS, "features": FEATURES}
    (model_at / "task.json").write_text(json.dumps(task))
    for name, rows in (("calibration", 40), ("evaluation", 200)):
        values = random.standard_normal((rows, 3)).astype(np.float32)
        lines = [
            ",".join([*(f"{number:.4f}" for number in row), LABELS[(row @ matrix).argmax()]])
            for row in values
        ]
        (folder / f"{name}.csv").write_text("\n".join([",".join([*FEATURES, "label"]), *lines, ""]))
    spec = folder / "edgekit.toml"
    spec.write_text(
        '[model]\nname = "small"\nsource = "model"\ntask = "tabular-classification"\n'
        '[data]\ncalibration = "calibration.csv"\nevaluation = "evaluation.csv"\n'
        "[limits]\nmax_accuracy_drop = 0.05\n"
    )
    return spec


def golden(files: Path) -> Golden:
    """What the model in a folder says of INPUTS."""
    reference = open_model(files, "onnxruntime", Setting())
    said = reference.answers([reference.task.parse(value) for value in INPUTS])
    return Golden(inputs=INPUTS, answers=[row.tolist() for row in said], labels=LABELS)


def write_build(
    folder: Path,
    *,
    version: str = "1.0.0",
    seed: int = 0,
    change: Change | None = None,
    spoil: Callable[[Path], object] | None = None,
    limits: dict[str, Any] | None = None,
    name: str = "pumps",
    engine: str = "1.0",
    device_class: str | None = None,
    cores: int = 0,
    **figures: Any,  # noqa: ANN401
) -> tuple[Build, MeasuredVariant]:
    """Make a finished build of one variant, as `edgekit build` leaves it.

    seed: that of the weights.
    change: made to the graph once the golden samples are made.
    spoil: made to the variant's files then, too.
    engine: the version that it was measured with.
    device_class: the class that it is for, else this machine's.
    cores: the number that found its setting.
    figures: of its evidence.
    """
    matrix, machine = weights(seed), detect_machine()
    files = model_folder(folder, "onnx-fp32")
    files.mkdir(parents=True)
    graph = model(matrix)
    onnx.save(graph, files / "model.onnx")
    task = {"task": "tabular-classification", "labels": LABELS, "features": FEATURES}
    (files / "task.json").write_text(json.dumps(task))
    (folder / "golden.json").write_bytes(golden(files).to_json())
    if change:
        change(graph)
        onnx.save(graph, files / "model.onnx")
    if spoil:
        spoil(files)
    artifact = Artifact(
        name="onnx-fp32",
        format="onnx",
        precision="fp32",
        method="none",
        engine="onnxruntime",
        key="key",
        files=describe_folder(files),
    )
    figures = {"peak_rss_bytes": 150_000_000, **figures}
    measured = evidence.variant("onnx-fp32", "fp32", versions={"onnxruntime": engine}, **figures)
    build = evidence.build(
        Measured(artifact=artifact, evidence=measured.evidence),
        model=name,
        version=version,
        task="tabular-classification",
        target=device_class or closest_target(machine).name,
        architecture=machine.architecture,
        isa=machine.isa,
        cores=cores,
        limits=Limits(**(limits or {})),
        source_sha256=f"sha256:{'0' * 64}",
    )
    evidence.write_build(folder, build)
    return build, build.measured[0]


def signing(keys: Path, *names: str, evidence_key: str = "", counter: int | None = None) -> Signing:
    """Return the named keys of a folder as those that sign a release.

    The first of them signs the evidence, unless another does.
    """
    signers = [load_signer(keys / f"{name}.key", None) for name in names or ("release",)]
    measurer = load_signer(keys / f"{evidence_key}.key", None) if evidence_key else signers[0]
    return Signing(signers, measurer, counter)


def bundle(out: Path, signed_by: Signing, **given: Any) -> Path:  # noqa: ANN401
    """A signed bundle at `out`, made from a build beside it; see `write_build`."""
    folder = out.with_name(f"{out.stem}-build")
    build, variant = write_build(folder, **given)
    pack(build, [variant], folder, signed_by, out)
    return out
