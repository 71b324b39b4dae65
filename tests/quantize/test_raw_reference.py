"""A wrong reading of the folder differs from what its own library answers, and stops the build."""

import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from edgekit.edge.tasks import load_task
from edgekit.edge.tasks.text import TokenizerTask
from edgekit.errors import InputError
from edgekit.profiles.answers import read_answers
from edgekit.profiles.data import read_dataset
from edgekit.profiles.evaluations.label_rule import NAMES
from edgekit.quantize.prepare import (
    WORDS,
    InspectRequest,
    ReferenceRequest,
    inspect_job,
    reference_job,
)
from edgekit.quantize.reference import own
from edgekit.quantize.source import read_source
from tests.families import LABELS, make_family, write_pooling

SHORT = ("Leak near the hose", "bearing noise")
LONG = "the coolant pump on line two leaks near the hose since the last shift " * 4


@dataclass(frozen=True)
class Project:
    """A source with its data files, and the folder of what edgekit reads of it."""

    source: Path
    task: str
    data: Path
    columns: list[str]
    read: Path

    def refer(self, given: Path | None = None) -> Path:
        """Run the job that compares and answers, in this process; return its folder."""
        out = self.data / "reference"
        out.mkdir()
        source = read_source(self.source, self.task)
        request = ReferenceRequest(
            source=source,
            own_task_folder=str(self.read),
            built=source,
            task_folder=str(self.read),
            calibration=str(next(self.data.glob("calibration.*"))),
            evaluation=str(next(self.data.glob("evaluation.*"))),
            columns=self.columns,
            label="label",
            rule=NAMES,
            max_length=None,
            given=str(given) if given else None,
            release_rows=[],
            out=str(out),
        )
        reference_job(request, lambda *_: None)
        return out

    def said(self) -> str:
        """Return the error that stops the build."""
        with pytest.raises(InputError) as stopped:
            self.refer()
        return str(stopped.value)

    def edit(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change what edgekit read: one of its JSON files."""
        config = json.loads((self.read / name).read_text())
        change(config)
        (self.read / name).write_text(json.dumps(config))


def project(source: Path, task: str, data: Path, columns: list[str]) -> Project:
    read = data / "read"
    read.mkdir()
    asked = InspectRequest(source=read_source(source, task), max_length=None, out=str(read))
    inspect_job(asked, lambda *_: None)
    return Project(source, task, data, columns, read)


def write_csv(folder: Path, header: list[str], rows: list[list[object]]) -> None:
    for name, order in (("calibration", 1), ("evaluation", -1)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[::order]])


@pytest.fixture
def classifier(tmp_path: Path) -> Project:
    """A BERT whose third row is the first one that is long, and the fourth the first with signs."""
    source = make_family("bert", "text-classification", tmp_path / "model")
    texts = ["leak", "hose", LONG, "Sensor: OFFSET (drifts)"]
    write_csv(tmp_path, ["text", "label"], [[text, "O"] for text in texts])
    return project(source, "text-classification", tmp_path, ["text"])


@pytest.fixture
def embedder(tmp_path: Path) -> Project:
    """A BERT of Sentence Transformers that pools by the mean."""
    source = make_family("bert", "feature-extraction", tmp_path / "model")
    write_pooling(source, "mean_tokens")
    return pairs(source, tmp_path)


def pairs(source: Path, folder: Path) -> Project:
    rows: list[list[object]] = [["leak", "hose", 0.5], ["belt slip", LONG, 0.1]]
    write_csv(folder, ["a", "b", "label"], rows)
    return project(source, "feature-extraction", folder, ["a", "b"])


def test_the_reference_says_who_answered(classifier: Project) -> None:
    found = classifier.refer()
    assert (found / WORDS).read_text().startswith("transformers 4.")
    answers = read_answers(found / "answers.npz")
    assert len(answers) == 4
    assert len(json.loads((found / "golden.json").read_text())["answers"]) == 16


def test_wrong_padding_is_caught(classifier: Project) -> None:
    classifier.edit("task.json", lambda config: config.update(padding_side="left"))
    assert "calibration.csv: row 1 is read otherwise than by transformers" in classifier.said()


def test_a_wrong_length_is_caught(classifier: Project) -> None:
    classifier.edit("task.json", lambda config: config.update(max_length=5))
    said = classifier.said()
    assert "calibration.csv: row 3 is read otherwise" in said
    assert "token 5 is 3 for edgekit and" in said
    assert "pump" not in said  # nothing of the text


def test_left_out_special_tokens_are_caught(classifier: Project) -> None:
    classifier.edit("tokenizer.json", lambda config: config.update(post_processor=None))
    assert "calibration.csv: row 1 is read otherwise" in classifier.said()


def test_wrong_case_is_caught(classifier: Project) -> None:
    classifier.edit("tokenizer.json", lambda config: config["normalizer"].update(lowercase=False))
    assert "calibration.csv: row 4 is read otherwise" in classifier.said()


def test_a_swapped_label_is_caught(classifier: Project) -> None:
    classifier.edit("task.json", lambda config: config["labels"].reverse())
    assert "its list of labels is read otherwise" in classifier.said()


def test_the_wrong_end_that_is_cut_is_caught(
    classifier: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = TokenizerTask.__init__

    def cut_left(self: TokenizerTask, tokenizer: Any, config: Any) -> None:  # noqa: ANN401
        before(self, tokenizer, config)
        tokenizer.enable_truncation(max_length=config.max_length, direction="left")

    monkeypatch.setattr(TokenizerTask, "__init__", cut_left)
    assert "calibration.csv: row 3 is read otherwise" in classifier.said()


def sentences(folder: Path, *texts: str) -> None:
    words = [text.split() for text in texts]
    rows: list[list[object]] = [[json.dumps(row), json.dumps(["O"] * len(row))] for row in words]
    write_csv(folder, ["text", "label"], rows)


def test_a_taggers_wrong_length_is_caught(tmp_path: Path) -> None:
    """Words that the library cuts are no difference, but those are that it keeps."""
    source = make_family("bert", "token-classification", tmp_path / "model")
    sentences(tmp_path, "leak", LONG, "bearing noise and hot spindle")
    made = project(source, "token-classification", tmp_path, ["text"])
    made.edit("task.json", lambda config: config.update(max_length=6))
    assert "calibration.csv: row 3 is read otherwise" in made.said()


def test_words_are_read_as_the_fine_tuning_scripts_do(tmp_path: Path) -> None:
    """A tagger's words beyond the length, and one that holds nothing, are no difference."""
    source = make_family("roberta", "token-classification", tmp_path / "model")
    sentences(tmp_path, "leak hose", "pump \ufe0f leaks", LONG, "")
    made = project(source, "token-classification", tmp_path, ["text"])
    answers = read_answers(made.refer() / "answers.npz")
    assert [len(answer) for answer in answers] == [0, len(LONG.split()), 3, 2]
    assert all(np.isfinite(answer).all() for answer in answers)


def test_wrong_pooling_is_caught(embedder: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "pooled", lambda states, *_: states[:, 0])
    said = embedder.said()
    assert "calibration.csv: row 1 is read otherwise than by sentence-transformers" in said
    assert "the cosine of edgekit's vector with the library's is" in said


def test_a_lost_normalization_is_caught(embedder: Project) -> None:
    embedder.edit("task.json", lambda config: config.update(normalize=False))
    assert "row 1 is read otherwise" in (said := embedder.said())
    assert "and the library's 1.0000" in said


def test_a_missing_prompt_is_caught(tmp_path: Path) -> None:
    source = make_family("bert", "feature-extraction", tmp_path / "model")
    write_pooling(source, "mean_tokens")
    prompts = {"prompts": {"query": "pump: "}, "default_prompt_name": "query"}
    (source / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    made = pairs(source, tmp_path)
    made.edit("task.json", lambda config: config.pop("prompt", None))
    assert "calibration.csv: row 1 is read otherwise" in made.said()


def test_an_embedder_is_asked_by_encode(embedder: Project) -> None:
    from sentence_transformers import SentenceTransformer

    answers = read_answers(embedder.refer() / "answers.npz")
    texts = read_dataset(
        embedder.data / "evaluation.csv", load_task(embedder.read), ["a", "b"], "label"
    ).inputs
    right = SentenceTransformer(str(embedder.source), device="cpu").encode(texts)
    np.testing.assert_allclose(np.stack(answers), right, atol=1e-5)


def picture_model(folder: Path, size: int) -> Path:
    """An ONNX that averages a picture's pixels, with the processor that made its pictures."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0, 0.0, 0.5, 0.2, 0.0, 1.0])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "w"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    folder.mkdir()
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), folder / "model.onnx")
    task = {
        "task": "image-classification", "labels": ["dark", "light"], "height": size, "width": size,
        "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25],
    }  # fmt: skip
    processor = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "do_normalize": True,
        "do_rescale": True, "rescale_factor": 1 / 255, "resample": 2,
        "size": {"height": size, "width": size},
        "image_mean": task["mean"], "image_std": task["std"],
    }  # fmt: skip
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Project:
    """A picture model whose second picture has another size than it takes."""
    source = picture_model(tmp_path / "model", 16)
    noise = np.random.default_rng(0)
    for name, side in (("a.png", 16), ("b.png", 31), ("c.png", 16)):
        Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(
            tmp_path / name
        )
    for name, paths in (("calibration", ("a.png", "b.png")), ("evaluation", ("c.png",))):
        (tmp_path / f"{name}.csv").write_text(
            "".join(["path,label\n", *(f"{path},dark\n" for path in paths)])
        )
    return project(source, "image-classification", tmp_path, ["path"])


def test_pixels_are_those_of_the_folders_processor(pictures: Project) -> None:
    words = (pictures.refer() / WORDS).read_text()
    assert words == (
        "ONNX Runtime, no graph optimizations, behind the image processor that its folder names"
    )


@pytest.mark.parametrize(
    ("change", "row"),
    [({"mean": [0.4, 0.5, 0.3]}, 1), ({"resample": "nearest"}, 2), ({"std": [0.3, 0.2, 0.25]}, 1)],
)
def test_wrong_pixels_are_caught(pictures: Project, change: dict[str, Any], row: int) -> None:
    pictures.edit("task.json", lambda config: config.update(change))
    said = pictures.said()
    assert f"calibration.csv: row {row} is read otherwise" in said
    assert "grey levels apart" in said


def test_without_a_library_the_report_says_so(pictures: Project) -> None:
    (pictures.source / "preprocessor_config.json").unlink()
    words = (pictures.refer() / WORDS).read_text()
    assert words.endswith("task.json alone (its folder names no processor to compare with)")


def test_odd_texts_are_read_alike(tmp_path: Path) -> None:
    """What no calibration row holds differs all the same: accents, here."""
    source = make_family("bert", "text-classification", tmp_path / "model")
    rng = random.Random(0)
    rows = [[" ".join(rng.choices(SHORT, k=3)) + str(i), rng.choice(LABELS)] for i in range(5)]
    write_csv(tmp_path, ["text", "label"], rows)  # type: ignore[arg-type]
    made = project(source, "text-classification", tmp_path, ["text"])
    made.edit("tokenizer.json", lambda c: c["normalizer"].update(handle_chinese_chars=False))
    assert "made text 7 is read otherwise" in made.said()
