"""Data files: what is wrong with them is named by file and row."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.edge.tasks.row_files import read_rows
from edgekit.edge.tasks.tabular_classification import Config, TabularClassification
from edgekit.errors import InputError
from edgekit.profiles.data import Dataset, label_rule, read_dataset
from edgekit.spec import LabelsAre
from tests.conftest import edgekit


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "evaluation.csv",
            "text,label\nnoise,rust\n",
            "evaluation.csv: row 1: the model has no label 'rust'",
        ),
        ("evaluation.csv", "text,label\n", "evaluation.csv: holds no rows"),
        ("evaluation.csv", "", "evaluation.csv: holds no rows"),
        ("evaluation.csv", "words,label\nnoise,belt_slip\n", None),
        (
            "evaluation.csv",
            "text,class\nnoise,belt_slip\n",
            "has no column 'label' (data.label); columns: text, class",
        ),
        ("evaluation.csv", "text,label\nnoise,belt_slip\nnoise\n", "row 2 has not 2 fields"),
        ("evaluation.csv", b"text,label\nno\xffise,belt_slip\n", "not UTF-8"),
        (
            "calibration.csv",
            "text,label\nnoise,rust\n",
            "calibration.csv: row 1: the model has no label 'rust'",
        ),
    ],
)
def test_what_is_wrong_with_the_data_is_named(
    warm_project: Path, name: str, content: str | bytes, expected: str | None
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (warm_project / name).write_bytes(data)
    # another name for the only other column is understood, but not in one file only
    if expected is None:
        assert (
            "has no column 'words'" in edgekit("build", warm_project / "edgekit.toml", code=2).err
        )
        return
    ran = edgekit("build", warm_project / "edgekit.toml", code=2)
    assert expected in ran.err
    assert not (warm_project / "build" / "build.json").exists()


def test_calibration_and_evaluation_must_not_share_a_row(warm_project: Path) -> None:
    shared = (warm_project / "evaluation.csv").read_text().splitlines()[5]
    with (warm_project / "calibration.csv").open("a") as file:
        file.write(shared + "\n")
    ran = edgekit("build", warm_project / "edgekit.toml", code=2)
    assert "calibration.csv: row 65 is also row 5 of" in ran.err


def test_a_row_that_differs_in_white_space_only_is_left_out(warm_project: Path) -> None:
    text, label = (warm_project / "evaluation.csv").read_text().splitlines()[5].split(",")
    with (warm_project / "calibration.csv").open("a") as file:
        file.write(f'"{text.upper()}  ",{label}\n')
    spec = warm_project / "edgekit.toml"
    spec.write_text(spec.read_text() + '[target]\nrecipes = ["onnx-fp32"]\n')
    ran = edgekit("build", spec, "--quick")
    assert "row 65 is in" in ran.err
    assert "left out of calibration" in ran.err


def test_a_sample_keeps_every_labels_share(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], [800, 150, 50])
    data = Dataset(path=tmp_path, sha256="", inputs=list(range(1000)), truths=labels.tolist())
    sample, rest = data.split(100)
    assert (len(sample), len(rest)) == (100, 900)
    assert np.bincount(labels[sample.inputs]).tolist() == pytest.approx([80, 15, 5], abs=1)
    assert sorted(sample.inputs + rest.inputs) == data.inputs
    assert sample == data.split(100)[0]
    assert data.split(5000)[0] == data
    assert sample.digest() != rest.digest()


def test_a_row_of_two_texts_stays_together(tmp_path: Path) -> None:
    inputs = [f"{side}{row}" for row in range(20) for side in "ab"]
    data = Dataset(path=tmp_path, sha256="", inputs=inputs, truths=[0.0, 1.0] * 10, width=2)
    sample, rest = data.split(8)
    assert len(sample.inputs) == 16
    assert all(first[1:] == second[1:] for first, second in (*sample.rows(), *rest.rows()))


def test_conll(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("-DOCSTART- X O O\n\nBRCA1 NN O B-Gene\nbinds VB O O\n\n\nNo DT O O")
    assert list(read_rows(path)) == [
        {"tokens": ["BRCA1", "binds"], "label": ["B-Gene", "O"]},
        {"tokens": ["No"], "label": ["O"]},
    ]
    path.write_text("BRCA1\n")
    with pytest.raises(InputError, match="line 1 has one column"):
        list(read_rows(path))


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "n": 1}\n\n{"text": "b"}\n')
    assert list(read_rows(path)) == [{"text": "a", "n": 1}, {"text": "b"}]
    path.write_text('{"text": "a"}\n[1]\n')
    with pytest.raises(InputError, match="row 2 is not a JSON object"):
        list(read_rows(path))
    with pytest.raises(InputError, match="unknown kind of file"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("id\ttext", "tab"),
        ("id;text;label", "semicolon"),
        ("a|b", "vertical bar"),
        ('"a\tb"', "tab"),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_with_other_separators_is_no_file_of_one_column(
    tmp_path: Path, header: str, what: str, mark: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{mark}{header}\n1\tthe pump leaks\tx\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"its header is one column with a {what} in it") as caught:
        list(read_rows(path))
    assert "pump" not in str(caught.value)
    path.write_text("text;more,label\na\tb,c\n", encoding="utf-8")
    assert list(read_rows(path)) == [{"text;more": "a\tb", "label": "c"}]


def test_a_blank_line_is_no_row_that_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text\na\n\nb\n")
    with pytest.raises(InputError, match=r'rows\.csv: line 3 is blank: write "" for a row'):
        list(read_rows(path))
    path.write_text('text\na\n""\nb\n\n\n')
    assert [row["text"] for row in read_rows(path)] == ["a", "", "b"]
    path.write_text("text,label\na,x\n\nb,y\n")
    assert [row["text"] for row in read_rows(path)] == ["a", "b"]


def test_a_key_that_comes_twice_loses_no_value_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"text": "a", "text": "b"}\n')
    with pytest.raises(InputError, match="row 2 is not a JSON object"):
        list(read_rows(path))


SIGNS = TabularClassification(Config(labels=["-1", "0", "1"], features=["a"]))


def both(
    folder: Path, evaluation: str, calibration: str, wanted: LabelsAre | None = None
) -> object:
    """Read two files of one label a letter by one rule, as a build does."""
    paths = [folder / "evaluation.csv", folder / "calibration.csv"]
    for path, labels in zip(paths, (evaluation, calibration), strict=True):
        path.write_text("a,label\n" + "".join(f"1,{label}\n" for label in labels.split()))
    rule = label_rule(paths, SIGNS, "label", wanted)
    return str(rule), [read_dataset(path, SIGNS, ["a"], "label", rule).truths for path in paths]


def test_one_rule_for_evaluation_and_calibration(tmp_path: Path) -> None:
    assert both(tmp_path, "0 1 2", "0 1") == ("indices from 0", [[0, 1, 2], [0, 1]])
    # one file alone could be read in two ways
    assert both(tmp_path, "0 1", "0 1 -1") == ("names", [[1, 2], [1, 2, 0]])
    assert both(tmp_path, "0 1", "2") == ("indices from 0", [[0, 1], [2]])
    with pytest.raises(
        InputError,
        match=r"evaluation.csv: column 'label' .* two ways: '0' is '0' as names and '-1'",
    ):
        both(tmp_path, "0 1", "1 0")
    assert both(tmp_path, "0 1", "1 0", "names") == ("names", [[1, 2], [2, 1]])
    with pytest.raises(InputError, match=r"calibration.csv: row 2: the model has no label '2'"):
        both(tmp_path, "-1 0 1", "0 2")
