"""The gate counts the rows that were cut, and the report says so."""

from pathlib import Path

import msgspec
import pytest

from edgekit.nouns import Build, Golden, Quality, read_json
from edgekit.profiles.answers import write_answers
from edgekit.profiles.data import Dataset
from edgekit.profiles.quality_job import _cut_rows, gate_figures
from edgekit.profiles.report.text import left_out, notes
from tests import evidence, null_model

LONG = "pump " * 40


@pytest.mark.parametrize(
    ("task", "on_too_long", "cut"),
    [
        ("text-classification", "flag", 3),
        ("token-classification", "flag", 3),
        ("token-classification", "window", 0),
    ],
)
def test_the_gate_counts_what_was_cut(
    tmp_path: Path, task: str, on_too_long: str, cut: int
) -> None:
    config: dict[str, object] = {"on_too_long": on_too_long}
    if task == "token-classification":
        config["labels"] = ["O", "B-X", "B-Y"]
    model = null_model.text_model(tmp_path / "model", task=task, config=config, batch_size=4)
    inputs = [model.task.parse(text) for text in ("leak", LONG, "hose", LONG, "slip", LONG)]
    answers = model.answers(inputs)
    write_answers(tmp_path / "answers.npz", answers)
    golden = Golden(inputs=["leak"], answers=[answers[0].tolist()], labels=list(model.task.labels))
    (tmp_path / "golden.json").write_bytes(golden.to_json())
    by_word = task == "token-classification"
    truths = [(0,) * len(answer) if by_word else 0 for answer in answers]
    data = Dataset(path=tmp_path, sha256="sha256:0", inputs=inputs, truths=list(truths))
    found = gate_figures(model, model.task, data, tmp_path, "", lambda what, share: None)
    assert found.cut_rows == cut
    assert found.agreement == 1


def test_a_row_of_two_texts_is_cut_once(tmp_path: Path) -> None:
    model = null_model.text_model(tmp_path, task="feature-extraction")
    answers = model.read(["leak", "hose", LONG, "leak", LONG, LONG, "leak", LONG])
    assert _cut_rows(answers, 1) == 4
    assert _cut_rows(answers, 2) == 3


def test_a_quality_of_before_says_that_nothing_was_cut() -> None:
    quality = evidence.variant("onnx-fp32", "fp32").evidence.quality
    old = msgspec.to_builtins(quality)
    del old["cut_rows"], old["refused_rows"]
    assert read_json(msgspec.json.encode(old), Quality) == quality


def _build(**quality: int) -> Build:
    measured = evidence.variant("onnx-fp32", "fp32", **quality)
    return evidence.build(measured)


def test_the_report_says_what_was_not_looked_at() -> None:
    assert left_out(_build()) == []
    lines = left_out(_build(cut_rows=12, refused_rows=3))
    assert len(lines) == 2
    assert lines[0].startswith("Cut: 12 of ")
    assert lines[1].startswith("Left out: 3 rows of the evaluation file")
    assert lines == notes(_build(cut_rows=12, refused_rows=3))[:2]
