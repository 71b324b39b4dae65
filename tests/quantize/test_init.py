"""`edgekit init`: a spec that builds, or nothing at all."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest

from edgekit.edge.tasks.row_files import read_rows
from edgekit.errors import InputError
from edgekit.quantize.init import FirstSpec, write_first_spec
from edgekit.quantize.label_column import Described, choose_label
from edgekit.quantize.sources.columns import longest_columns
from edgekit.spec import load_spec
from tests import small
from tests.conftest import edgekit
from tests.families import make_family


def test_one_file_is_split_without_a_shared_input(project: Path, tmp_path: Path) -> None:
    data = project / "evaluation.csv"
    text = data.read_text()
    data.write_text(text + text.splitlines(keepends=True)[1])  # one text twice
    spec = tmp_path / "new.toml"
    printed = edgekit("init", project / "model", data, "--out", spec, "--json").json
    assert printed["spec"] == str(spec)
    assert printed["input"]["columns"] == ["text"]
    assert printed["label"]["columns"] == ["label"]
    assert "names" in printed["label"]["why"]
    assert printed["label"]["runner_up"] == "no other column has labels in all rows"
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


def first_spec(
    folder: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], model: str = "model"
) -> FirstSpec:
    """Write a first spec for the small model and a data file with these columns."""
    features = {name: name for name in small.FEATURES}
    task = {"task": "tabular-classification", "labels": small.LABELS, "features": [*features]}
    (folder / model).mkdir()
    onnx.save(small.model(small.weights()), folder / model / "model.onnx")
    (folder / model / "task.json").write_text(json.dumps(task))
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return write_first_spec(folder / model, folder / "data.csv", None, folder / "edgekit.toml")


def readings(count: int, *more: Sequence[object]) -> list[list[object]]:
    """Make rows of the small model's features, with more columns behind."""
    return [[row, row / 2, -row, *(values[row % len(values)] for values in more)]
            for row in range(count)]  # fmt: skip


ODD = [
    "model\N{ROCKET}",
    "\U00020bb7",
    'a "quoted" \\ name',
    "two\nlines",
    "tab\tbell\a delete\x7f",
    "# no comment",
    "{braces} %s",
    "e\u0301 \u202e \u2028",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_give_a_spec_that_is_read_back(tmp_path: Path, name: str) -> None:
    rows = readings(30, small.LABELS)
    first_spec(tmp_path, [*small.FEATURES, f"label{name}"], rows, model=name)
    loaded = load_spec(tmp_path / "edgekit.toml")
    assert loaded.model.source == str((tmp_path / name).resolve())
    assert loaded.data.label == f"label{name}"
    assert loaded.data.input == small.FEATURES
    assert len(list(read_rows(Path(loaded.data.evaluation)))) == 24


def test_a_name_that_is_no_text_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    rows = readings(30, small.LABELS)
    with pytest.raises(InputError, match="not UTF-8; give it another name"):
        first_spec(tmp_path, [*small.FEATURES, "label"], rows, model="model\udcff")
    assert not (tmp_path / "edgekit.toml").exists()
    assert not (tmp_path / "calibration.csv").exists()


def test_it_says_which_column_and_why_and_what_came_next(tmp_path: Path) -> None:
    """A column of names goes before one whose numbers could be indices."""
    rows = readings(30, [0, 1, 2], small.LABELS)
    path, inputs, label = first_spec(tmp_path, [*small.FEATURES, "line", "state"], rows)
    assert label.columns == ["state"]
    assert label.why == "all 30 rows hold labels of the model, names"
    assert label.runner_up == '"line" (indices from 0)'
    assert inputs.columns == small.FEATURES
    text = path.read_text()
    assert f"# label: {label.why}; runner-up: {label.runner_up}\n" in text
    assert "# input: the features that task.json names" in text


def test_a_column_of_that_name_that_was_passed_over_is_told(tmp_path: Path) -> None:
    rows = readings(30, ["Sound", "Worn", "Leaking"], [0, 1, 2])
    label = first_spec(tmp_path, [*small.FEATURES, "label", "line"], rows).label
    assert label.columns == ["line"]
    assert '"label" was passed over: 30 of 30 rows hold no label of the model' in label.runner_up


def test_a_feature_is_never_the_label(tmp_path: Path) -> None:
    rows: list[list[object]] = [[row % 3, row, row, small.LABELS[row % 3]] for row in range(30)]
    assert first_spec(tmp_path, [*small.FEATURES, "state"], rows).label.columns == ["state"]


def test_a_label_that_can_be_read_in_two_ways_is_written_with_a_word() -> None:
    model = Described("text-classification", ("-1", "0", "1"))
    rows = [{"text": "a", "label": str(row % 2)} for row in range(6)]
    found = choose_label(Path("data.csv"), rows, model, [])
    assert "which can be read in two ways: set labels_are" in found.why


def test_a_row_without_any_label_is_one() -> None:
    model = Described("text-classification", ("worn", "leak"), is_exclusive=False)
    rows = [{"text": "a", "note": "", "kinds": cell} for cell in ("", "worn", "worn,leak")]
    found = choose_label(Path("data.csv"), rows, model, [])
    assert found.columns == ["kinds"]
    assert found.runner_up == "no other column has labels in all rows"


def test_a_number_of_the_row_is_no_score() -> None:
    model = Described("feature-extraction", ())
    rows = [{"id": row, "a": "x", "b": "y", "alike": row % 3 / 2} for row in range(9)]
    found = choose_label(Path("data.csv"), rows, model, [])
    assert (found.columns, found.runner_up) == (["alike"], '"id" (numbers)')


def test_the_longest_column_is_told_with_the_next() -> None:
    rows = [{"id": "7", "text": "the pump leaks", "label": "leak"}]
    found = longest_columns(rows, "label", 1)
    assert found.columns == ["text"]
    assert found.why == "the longest content beside the label, in the mean 14 characters"
    assert found.runner_up == '"id" with 1 characters'
