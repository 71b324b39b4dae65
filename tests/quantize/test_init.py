"""`edgekit init`: a spec that builds, or nothing at all."""

import json
from pathlib import Path

import pytest

from edgekit.edge.tasks.row_files import read_rows
from edgekit.spec import load_spec
from tests.conftest import edgekit
from tests.families import make_family


def test_one_file_is_split_without_a_shared_input(project: Path, tmp_path: Path) -> None:
    data = project / "evaluation.csv"
    text = data.read_text()
    data.write_text(text + text.splitlines(keepends=True)[1])  # one text twice
    spec = tmp_path / "new.toml"
    assert edgekit("init", project / "model", data, "--out", spec, "--json").json == {
        "spec": str(spec)
    }
    loaded = load_spec(spec)
    assert (loaded.model.task, loaded.data.input, loaded.data.label) == (
        "text-classification",
        "text",
        "label",
    )
    halves = [
        [row["text"] for row in read_rows(Path(name))]
        for name in (loaded.data.calibration, loaded.data.evaluation)
    ]
    assert not set(halves[0]) & set(halves[1])
    assert len(halves[0]) + len(halves[1]) == 401
    assert 75 <= len(halves[0]) <= 90


def test_two_files_are_taken_as_they_are(project: Path) -> None:
    (project / "edgekit.toml").unlink()
    data = ("evaluation.csv", "--calibration", "calibration.csv")
    edgekit("init", "model", *data, cwd=project)
    assert Path(load_spec(project / "edgekit.toml").data.calibration).name == "calibration.csv"


def test_nothing_is_overwritten_and_nothing_half_written(project: Path, tmp_path: Path) -> None:
    model, data = project / "model", project / "evaluation.csv"
    assert (
        "exists already"
        in edgekit("init", model, data, "--out", project / "edgekit.toml", code=2).err
    )
    (tmp_path / "evaluation.csv").write_text("mine")
    assert (
        "exists already"
        in edgekit("init", model, data, "--out", tmp_path / "edgekit.toml", code=2).err
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["evaluation.csv"]


def test_what_it_can_not_make_out_is_said(project: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "new.toml")
    data = project / "evaluation.csv"
    assert "no such folder" in edgekit("init", project / "nowhere", data, *out, code=2).err
    (project / "odd.csv").write_text("text,kind\na,b\n")
    assert (
        "no column holds only labels of the model"
        in edgekit("init", project / "model", project / "odd.csv", *out, code=2).err
    )
    config = project / "model" / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"architectures": ["BertForMaskedLM"]})
    )
    assert (
        "BertForMaskedLM is not supported"
        in edgekit("init", project / "model", data, *out, code=2).err
    )
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "task.json").write_text("[1")
    assert "not valid JSON" in edgekit("init", tmp_path / "onnx", data, *out, code=2).err


@pytest.mark.processes
def test_words_with_labels_of_their_own(tmp_path: Path) -> None:
    model = make_family("bert", "token-classification", tmp_path / "model")
    lines = [f"pump{n} O\nleaks B-PART\n" if n % 3 else f"belt{n} O\nslips O\n" for n in range(60)]
    (tmp_path / "data.conll").write_text("\n".join(lines))
    edgekit("init", model, tmp_path / "data.conll", "--out", tmp_path / "new.toml")
    loaded = load_spec(tmp_path / "new.toml")
    assert (loaded.model.task, loaded.data.input) == ("token-classification", "tokens")
    rows = list(read_rows(Path(loaded.data.calibration)))
    assert 10 <= len(rows) <= 14
    assert {row["label"] for row in rows} == {'["O", "B-PART"]', '["O", "O"]'}


@pytest.mark.processes
def test_pairs_need_a_second_file(tmp_path: Path) -> None:
    model = make_family("bert", "feature-extraction", tmp_path / "model")
    rows = "".join(f"the pump {n} leaks,pump {n} is wet,{n % 2}\n" for n in range(20))
    (tmp_path / "data.csv").write_text("text_a,text_b,score\n" + rows)
    out = ("--out", tmp_path / "new.toml")
    assert "--calibration" in edgekit("init", model, tmp_path / "data.csv", *out, code=2).err
    (tmp_path / "more.csv").write_text("text_a,text_b,score\nbelt slips,belt is loose,1\n")
    edgekit("init", model, tmp_path / "data.csv", "--calibration", tmp_path / "more.csv", *out)
    loaded = load_spec(tmp_path / "new.toml")
    assert loaded.data.label == "score"
    assert sorted(loaded.data.input or []) == ["text_a", "text_b"]
