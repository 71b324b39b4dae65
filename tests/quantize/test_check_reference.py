"""A reference that is no better than guessing stops the build; what it says is in the report."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekit.edge.tasks.tabular_classification import Config, TabularClassification
from edgekit.errors import InputError
from edgekit.nouns import Build, Limits, Standing, read_json
from edgekit.profiles.answers import write_answers
from edgekit.profiles.data import Dataset
from edgekit.profiles.report.cost import Prices, cost_sheet
from edgekit.profiles.report.page import page
from edgekit.profiles.report.text import build_as_json, notes
from edgekit.quantize.check_reference import check_reference
from edgekit.release.documents import card
from tests import evidence, small
from tests.conftest import edgekit

LOGITS = small.weights()
CLEAR = 1.0  # how far the best label of a row is ahead of the next


def rows(count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Make inputs that the small model is sure of, and what it says; every label as often."""
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((40 * count, 3)).astype(np.float32)
    logits = np.sort(inputs @ LOGITS, axis=1)
    inputs = inputs[logits[:, 2] - logits[:, 1] > CLEAR]
    said = (inputs @ LOGITS).argmax(axis=1)
    places = np.concatenate([np.flatnonzero(said == label)[: count // 3] for label in range(3)])
    return inputs[places], said[places]


def check(
    labels: Sequence[str], truths: np.ndarray, inputs: np.ndarray, folder: Path, limits: Limits
) -> tuple[Standing, list[str]]:
    """Check the small model under these label names; return what was warned of, too."""
    task = TabularClassification(Config(labels=list(labels), features=small.FEATURES))
    write_answers(folder / "answers.npz", list(inputs @ LOGITS))
    data = Dataset(
        path=Path("evaluation.csv"), sha256="", inputs=inputs.tolist(), truths=truths.tolist()
    )
    warned: list[str] = []
    return check_reference(folder, task, data, limits, warned.append), warned


def test_a_good_reference_passes_without_a_word(tmp_path: Path) -> None:
    inputs, said = rows(90)
    standing, warned = check(small.LABELS, said, inputs, tmp_path, Limits())
    assert (standing.value, standing.is_weak, warned) == (1, False, [])


def test_names_in_another_order_stop_in_one_line(tmp_path: Path) -> None:
    inputs, said = rows(90)
    truths = (said + 1) % 3  # as the labels of the file are found among names in another order
    with pytest.raises(InputError) as raised:
        check(small.LABELS, truths, inputs, tmp_path, Limits())
    text = str(raised.value)
    assert raised.value.exit_code == 2
    assert text.startswith("evaluation.csv: the reference is no better than guessing: balanced")
    assert "balanced accuracy 0.0000 (at most 0.0333), chance 0.3333, 90 rows" in text
    assert "says 'sound' for 'worn' 30 of 30 times" in text
    assert "accuracy would be 1.0000 with the labels shifted by one" in text
    assert "limits.allow_weak_reference = true" in text
    assert "\n" not in text


def test_few_rows_do_not_stop(tmp_path: Path) -> None:
    inputs, said = rows(3)
    standing, warned = check(small.LABELS, (said + 1) % 3, inputs, tmp_path, Limits())
    assert (standing.value, standing.is_weak) == (0, False)
    assert "below 0.3333, the share of the most frequent label" in warned[0]


def test_what_the_spec_allows_is_told(tmp_path: Path) -> None:
    inputs, said = rows(90)
    limits = Limits(allow_weak_reference=True)
    standing, warned = check(small.LABELS, (said + 1) % 3, inputs, tmp_path, limits)
    assert standing.is_weak
    assert warned[0].startswith("the reference is no better than guessing, as the spec allows")


def test_it_is_no_limit_of_a_variant() -> None:
    ordinary = Limits(p99_ms=5.0)
    allowed = Limits(p99_ms=5.0, allow_weak_reference=True)
    assert allowed.given() == ordinary.given()
    assert "allow_weak_reference" not in ordinary.given()


def test_the_report_says_how_the_reference_stands() -> None:
    assert evidence.build(evidence.variant("a")).standing is None  # of before it was asked
    standing = Standing(
        measure="balanced_accuracy",
        value=0.9312,
        low=0.9,
        high=0.95,
        chance=0.25,
        confidence=0.95,
        samples=400,
        is_weak=False,
        warnings=("odd <b>",),
    )
    made = evidence.build(evidence.variant("a"), standing=standing)
    assert read_json(made.to_json(), Build) == made
    line = "The reference: balanced accuracy 0.9312 (at most 0.9500), chance 0.2500"
    assert notes(made)[:2] == [line, "Warning: the reference: odd <b>"]
    shipped = made.measured[0]
    assert f"* {line}.\n" in card(made, shipped.artifact, shipped.evidence)
    sheet = cost_sheet(made, Prices())
    assert build_as_json(made, sheet)["standing"]["chance"] == 0.25
    html = page(made, sheet)
    assert line in html
    assert "odd &lt;b&gt;" in html
    assert "no better" not in html


@pytest.mark.processes
def test_a_build_of_a_model_with_its_names_in_another_order(tmp_path: Path) -> None:
    """The fault that shipped: an accuracy of 0, and every variant agrees with the reference."""
    spec, described = small.write_project(tmp_path), tmp_path / "model" / "task.json"
    names = [*small.LABELS[1:], small.LABELS[0]]
    described.write_text(json.dumps(json.loads(described.read_text()) | {"labels": names}))
    spec.write_text('[target]\nrecipes = ["onnx-fp32"]\n' + spec.read_text())
    ran = edgekit("build", spec, "--quick", code=2)
    assert "labels of evaluation.csv: names (column 'label')" in ran.err
    assert "the reference is no better than guessing" in ran.err
    assert "times" in ran.err.splitlines()[-1]
    assert not (tmp_path / "build" / "build.json").exists()
    assert not (tmp_path / "build" / "cache" / "artifacts").exists()
    spec.write_text(spec.read_text() + "allow_weak_reference = true\n")
    shown = edgekit("build", spec, "--quick").out
    assert "no better than guessing, as limits.allow_weak_reference allows" in shown
    built = read_json((tmp_path / "build" / "build.json").read_bytes(), Build)
    assert built.standing
    assert built.standing.is_weak
    assert built.variants[0].status == "accepted"
