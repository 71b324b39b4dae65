"""NaN in a build: the row is named, and no metric is computed from it."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import helper

from edgekit.errors import InputError
from edgekit.nouns import Setting
from edgekit.profiles.evaluations.label_rule import NAMES
from edgekit.profiles.quality_job import QualityRequest, quality_job
from edgekit.quantize.prepare import ReferenceRequest, reference_job
from edgekit.quantize.source import read_source
from tests.quantize.test_probe import FEATURES, MATRIX, inspected, write

# The logarithm of a negative number is NaN, that of 0 infinite.
NAN = [helper.make_node("Log", ["l"], ["q"]), helper.make_node("Softmax", ["q"], ["y"], axis=-1)]
SOUND = [helper.make_node("Softmax", ["l"], ["y"], axis=-1)]


def evaluation(folder: Path, bad: int | None) -> Path:
    """Write 40 rows of which one, counted from 1, makes the model above answer NaN."""
    random = np.random.default_rng(0)
    rows: list[list[object]] = []
    while len(rows) < 40:
        row = random.normal(size=3).astype(np.float32)
        is_bad = bool((row @ MATRIX < 0).any())
        if is_bad == (len(rows) + 1 == bad):
            rows.append([*map(float, row), "xyz"[int((row @ MATRIX).argmax())]])
    path = folder / "evaluation.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*FEATURES, "label"], *rows])
    return path


def reference(folder: Path, data: Path, released: list[int]) -> Path:
    """Let the model in `folder` answer the evaluation file."""
    own, out = str(inspected(folder)), folder / "reference"
    out.mkdir()
    source = read_source(folder, "tabular-classification")
    request = ReferenceRequest(
        source=source, built=source, own_task_folder=own, task_folder=own, rule=NAMES,
        calibration=str(data), evaluation=str(data), columns=FEATURES, label="label",
        max_length=None, given=None, release_rows=released, out=str(out),
    )  # fmt: skip
    reference_job(msgspec.to_builtins(request), lambda what, share: None)
    return out


def test_a_reference_that_answers_nan_stops_the_build_at_the_row(tmp_path: Path) -> None:
    folder, data = write(tmp_path / "m", NAN), evaluation(tmp_path, bad=7)
    with pytest.raises(InputError, match=r"evaluation\.csv: row 7: the reference: .*not a number"):
        reference(folder, data, [1])
    assert not (folder / "reference" / "answers.npz").exists()


def test_golden_samples_that_have_no_answer_are_named(tmp_path: Path) -> None:
    folder, data = write(tmp_path / "m", NAN), evaluation(tmp_path, bad=None)
    with pytest.raises(InputError, match=r"a golden sample: .*number; name rows .*release_rows"):
        reference(folder, data, [])


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_variant_that_answers_nan_fails_at_the_row(tmp_path: Path, batch_size: int) -> None:
    folder, data = write(tmp_path / "m", SOUND), evaluation(tmp_path, bad=7)
    found = reference(folder, data, [1, 2])
    variant = inspected(write(tmp_path / "variant", NAN))
    (variant / "model.onnx").write_bytes((variant.parent / "model.onnx").read_bytes())
    request = QualityRequest(
        folder=str(variant), task_folder=str(folder / "out"), engine="onnxruntime",
        settings=[Setting(threads=count, batch_size=batch_size) for count in (1, 2)],
        objective="latency", evaluation=str(data), evaluation_sha256="", columns=FEATURES,
        label="label", reference=str(found), effort="quick", calibration_sha256="",
    )  # fmt: skip
    with pytest.raises(ArithmeticError, match=r"NaN or infinity .*, first for row 7 of the evalua"):
        quality_job(msgspec.to_builtins(request), lambda what, share: None)
