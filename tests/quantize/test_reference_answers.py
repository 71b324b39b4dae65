"""Answers from the user's own environment: the script, what is checked of its file, and its use."""

import io
import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.profiles.answers import read_answers
from edgekit.quantize import newer_library
from edgekit.quantize.newer_library import needs_reference_answers
from edgekit.quantize.pipeline import build
from edgekit.quantize.prepare import WORDS
from edgekit.quantize.reference.raw_answers import load_library
from edgekit.quantize.reference.script import reference_script
from tests.families import ENDINGS, make_family, write_pooling
from tests.quantize.test_raw_reference import LONG, Project, project, write_csv

Arrays = dict[str, np.ndarray]
Place = int | tuple[int, int]
COLUMNS = {"feature-extraction": ["a", "b"]}


def write_spec(folder: Path, task: str, more: str = "") -> Path:
    spec = folder / "edgekit.toml"
    columns = json.dumps(COLUMNS.get(task, ["text"]))
    spec.write_text(
        f'[model]\nname = "small"\nsource = "model"\ntask = "{task}"\n{more}[data]\n'
        f'calibration = "calibration.csv"\nevaluation = "evaluation.csv"\ninput = {columns}\n'
        '[target]\nrecipes = ["onnx-fp32"]\n'
    )
    return spec


def answered(spec: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the printed script as a user does, but in this process; return the file with answers."""
    script = spec.with_name("answers.py")
    script.write_text(reference_script(spec))
    assert "import edgekit" not in script.read_text()
    assert "from edgekit" not in script.read_text()
    monkeypatch.chdir(spec.parent)
    runpy.run_path(str(script), run_name="__main__")
    return spec.with_name("reference-answers.npz")


def made(task: str, folder: Path, family: str = "bert") -> Project:
    source = make_family(family, task, folder / "model")
    if task == "feature-extraction":
        write_pooling(source, "mean_tokens")
    texts = ["leak", "hose, hot", LONG]
    rows = {
        "text-classification": [[text, "O"] for text in texts],
        "feature-extraction": [[text, "pump", 0.5] for text in texts],
        "token-classification": [
            [json.dumps(text.split()), json.dumps(["O"] * len(text.split()))] for text in texts
        ],
    }[task]
    header = [*COLUMNS.get(task, ["text"]), "label"]
    write_csv(folder, header, rows)  # type: ignore[arg-type]
    return project(source, task, folder, header[:-1])


@pytest.mark.parametrize("task", list(ENDINGS))
def test_the_scripts_answers_are_the_reference(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = made(task, tmp_path, "roberta" if task == "token-classification" else "bert")
    file = answered(write_spec(tmp_path, task), monkeypatch)
    assert "reference-answers.npz: written" in capsys.readouterr().err
    given = one.refer(file)
    assert (given / WORDS).read_text().endswith("in the user's own environment")
    said = read_answers(given / "answers.npz")
    shutil.rmtree(given)
    for own, right in zip(read_answers(one.refer() / "answers.npz"), said, strict=True):
        np.testing.assert_allclose(own, right, atol=1e-5)


@pytest.fixture
def answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, Callable[[Callable[[Arrays, dict[str, Any]], object]], str]]:
    """A project, and what changes its file of answers and returns the error that follows."""
    one = made("text-classification", tmp_path)
    file = answered(write_spec(tmp_path, one.task), monkeypatch)

    def said(change: Callable[[Arrays, dict[str, Any]], object]) -> str:
        with np.load(file) as held:
            arrays = dict(held)
        about = json.loads(str(arrays.pop("about")))
        change(arrays, about)
        with (tmp_path / "changed.npz").open("wb") as out:
            np.savez(out, about=np.array(json.dumps(about)), **arrays)
        with pytest.raises(InputError) as stopped:
            one.refer(tmp_path / "changed.npz")
        shutil.rmtree(tmp_path / "reference")
        return str(stopped.value)

    return one, said


def set_to(name: str, place: Place, value: float) -> Callable[[Arrays, dict[str, Any]], object]:
    return lambda arrays, _: arrays[name].__setitem__(place, value)


def add(name: str, place: Place, value: float) -> Callable[[Arrays, dict[str, Any]], object]:
    return lambda arrays, _: arrays[name].__setitem__(place, arrays[name][place] + value)


def renamed(key: str, value: object) -> Callable[[Arrays, dict[str, Any]], object]:
    return lambda _, about: about.__setitem__(key, value)


def test_what_the_file_says_is_checked(answers: tuple[Project, Callable[..., str]]) -> None:
    one, said = answers
    for change, expected in (
        (add("0.answers", (1, 0), 3e-4), "calibration.csv: row 2 is read otherwise than by"),
        (add("1.answers", (2, 0), 3e-4), "evaluation.csv: row 3 is read otherwise than by"),
        (set_to("0.ids", 1, 9), "row 1 is read otherwise"),
        (renamed("padding_side", "left"), "edgekit pads it on the right and the library on the"),
        (set_to("0.answers", (1, 0), np.nan), "row 2 has an answer that is not a number"),
        (set_to("0.answers", 1, np.inf), "row 2 has an answer that is not a number"),
        (set_to("0.counts", 0, -1), "the counts are not those of the rows"),
        (lambda arrays, _: arrays.pop("0.ids"), "its arrays do not fit"),
        (lambda arrays, _: arrays.update({"0.counts": arrays["0.counts"][1:]}), "to 3 inputs"),
        (lambda arrays, _: arrays.update({"0.answers": arrays["0.answers"][:, 1:]}), "[rows, 3]"),
        (renamed("labels", ["I-PART", "B-PART", "O"]), "labels: they have another order"),
        (renamed("weights", {"model.safetensors": "0" * 64}), "weights: they are not those of"),
        (renamed("columns", ["other"]), "columns: it read other columns"),
        (renamed("files", ["0" * 64]), "holds no answers to"),
        (renamed("format", 2), "print it anew"),
        (renamed("task", "other"), "it was asked for another task"),
        (renamed("library", None), "not what the script of edgekit reference-script writes"),
    ):
        assert expected in said(change)
    file = one.data / "reference-answers.npz"
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for text in (b"", b"PK\x03\x04", file.read_bytes()[:-400], b"{}", array.getvalue()):
        (one.data / "damaged.npz").write_bytes(text)
        with pytest.raises(InputError, match="not what the script of edgekit"):
            one.refer(one.data / "damaged.npz")
        shutil.rmtree(one.data / "reference")


def write_json(path: Path, **values: object) -> None:
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(before | values))


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("config.json", {"transformers_version": "99.0.0.dev0"}, "transformers 99.0.0.dev0"),
        ("config.json", {"transformers_version": "4.99.0"}, ""),
        ("config.json", {"transformers_version": None}, ""),
        ("config.json", {"transformers_version": "unknown"}, ""),
        (
            "config_sentence_transformers.json",
            {"__version__": {"sentence_transformers": "99.1", "transformers": "4.1"}},
            "sentence-transformers 99.1",
        ),
        (
            "config_sentence_transformers.json",
            {"__version__": {"sentence_transformers": "5.0", "transformers": "99.2"}},
            "transformers 99.2",
        ),
        ("config_sentence_transformers.json", {"__version__": "99"}, ""),
        ("config_sentence_transformers.json", {"__version__": {"transformers": 5}}, ""),
    ],
)
def test_a_newer_library_wrote_the_folder(
    name: str,
    values: dict[str, Any],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newer_library, "is_translated", lambda _: False)
    write_json(tmp_path / "config.json", transformers_version="4.1")
    write_json(tmp_path / name, **values)
    said = needs_reference_answers(tmp_path)
    assert expected in said
    assert bool(said) == bool(expected)
    monkeypatch.setattr(newer_library, "is_translated", lambda _: True)
    assert bool(needs_reference_answers(tmp_path)) == ("sentence-transformers" in expected)


def test_a_newer_folder_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made("text-classification", tmp_path)
    spec = write_spec(tmp_path, one.task)
    monkeypatch.setattr(newer_library, "_installed", lambda _: "4.57.6")
    monkeypatch.setattr(newer_library, "is_translated", lambda _: False)
    write_json(one.source / "config.json", transformers_version="5.2.0")
    with pytest.raises(InputError) as stopped:
        build(spec, tmp_path / "build", effort="quick", listener=None)  # type: ignore[arg-type]
    said = str(stopped.value)
    assert "config.json was written by transformers 5.2.0, and 4.57.6 is here" in said
    assert "edgekit reference-script" in said
    assert "model.reference_answers" in said
    assert not (tmp_path / "build").exists()


def test_a_text_without_a_token_has_no_answer(tmp_path: Path) -> None:
    """Beside others it would get one that depends on them."""
    one = made("text-classification", tmp_path)
    path = one.source / "tokenizer.json"
    write_json(path, post_processor=None)
    library = load_library(one.source, "AutoModelForSequenceClassification", by_word=False)
    empty, full = library.answers(["", "leak"])
    assert np.isnan(empty).all()
    assert np.isfinite(full).all()
    (alone,) = library.answers([""])
    assert alone.shape == full.shape
    assert library.lengths(["", "leak"])[0] == 0


def test_only_a_folder_of_hugging_face_has_a_script(tmp_path: Path) -> None:
    one = made("text-classification", tmp_path)
    (one.source / "config.json").rename(one.source / "other.json")
    with pytest.raises(InputError, match="only a Hugging Face folder has a library"):
        reference_script(write_spec(tmp_path, one.task))
