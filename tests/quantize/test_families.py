"""What is exported answers as the user's own library does: every encoder family, every text task.

That holds whatever the batch mates.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgekit.edge.model.tensor_model import open_model
from edgekit.edge.tasks import load_task
from edgekit.errors import InputError
from edgekit.nouns import Setting
from edgekit.profiles.data import Dataset
from edgekit.quantize.compare_preprocessing import compare_preprocessing
from edgekit.quantize.pooling import read_pooling
from edgekit.quantize.prepare import InspectRequest, inspect_job
from edgekit.quantize.recipes.recipe_job import RecipeRequest, recipe_job
from edgekit.quantize.reference import reference_of
from edgekit.quantize.reference.own import own_answers
from edgekit.quantize.source import read_source
from tests.families import ENDINGS, FAMILIES, MAX_LENGTH, TEXTS, make_family, write_pooling


def export(folder: Path, task: str, out: Path) -> tuple[Path, Any]:
    """onnx-fp32 of a Hugging Face folder, and the reference, in this process.

    The folder is read as its own library reads it, odd texts among the inputs.
    """
    source = read_source(folder, task)
    described = out / "task"
    described.mkdir(parents=True)
    inspect_job(InspectRequest(source=source, max_length=None, out=str(described)), lambda *_: None)
    request = RecipeRequest(
        recipe="onnx-fp32",
        source=source,
        base=None,
        task_folder=str(described),
        calibration="",
        columns=[],
        label="",
        samples=0,
        excluded=[],
        isa=(),
        out=str(out),
    )
    recipe_job(request, lambda *_: None)
    read = load_task(described)
    reference = reference_of(source, read)
    inputs = [read.parse(text) for text in [*TEXTS, " ".join(TEXTS)]]
    data = Dataset(path=out / "calibration.csv", sha256="", inputs=inputs, truths=[0] * len(inputs))
    own = own_answers(source, read)
    compare_preprocessing(reference, own, read, data, lambda *_: None)
    return out, reference.answers


@pytest.mark.filterwarnings("ignore")  # exporters warn of much that the comparison below answers
@pytest.mark.parametrize("task", list(ENDINGS))
@pytest.mark.parametrize("family", list(FAMILIES))
def test_an_export_answers_as_its_library_does(family: str, task: str, tmp_path: Path) -> None:
    folder = make_family(family, task, tmp_path / "model")
    out, reference = export(folder, task, tmp_path / "out")
    # OpenVINO can't load a branch whose sides differ in rank.
    assert "If" not in {node.op_type for node in onnx.load(out / "model.onnx").graph.node}
    for size in (1, len(TEXTS)):
        model = open_model(out, "onnxruntime", Setting(batch_size=size))
        inputs = [model.task.parse(text) for text in [*TEXTS, " ".join(TEXTS)]]
        expected = [answer for value in inputs for answer in reference([value])]
        for said, right in zip(model.answers(inputs), expected, strict=True):
            assert said.shape == right.shape
            np.testing.assert_allclose(said, right, atol=2e-4)
    assert np.std(np.concatenate([np.ravel(answer) for answer in expected])) > 0.01
    feeds = model.task.encode([inputs[-1]])
    # cut, or in windows, and never beyond the model's positions
    assert feeds["input_ids"].shape[1:] == (MAX_LENGTH,)
    assert (len(feeds["input_ids"]) > 1) == (task == "token-classification")


@pytest.mark.filterwarnings("ignore")
def test_an_embedder_pools_as_its_folder_says(tmp_path: Path) -> None:
    folder = make_family("bert", "feature-extraction", tmp_path / "model")
    write_pooling(folder, "cls_token")
    out, reference = export(folder, "feature-extraction", tmp_path / "out")
    model = open_model(out, "onnxruntime", Setting(batch_size=len(TEXTS)))
    expected = reference(TEXTS)
    np.testing.assert_allclose(model.answers(TEXTS), expected, atol=2e-4)
    (folder / "modules.json").unlink()  # without it: the mean of the tokens
    mean, _ = export(folder, "feature-extraction", tmp_path / "mean")
    others = open_model(mean, "onnxruntime", Setting(batch_size=len(TEXTS))).answers(TEXTS)
    assert np.max(np.abs(np.stack(others) - np.stack(expected))) > 0.01
    assert np.linalg.norm(np.stack(others), axis=1) == pytest.approx(1, abs=1e-5)


def test_a_pooling_that_we_do_not_have_is_refused(tmp_path: Path) -> None:
    folder = make_family("bert", "feature-extraction", tmp_path / "model")
    write_pooling(folder, "max_tokens")
    assert read_pooling(folder).modes == ("max",)
    settings = folder / "1_Pooling" / "config.json"
    settings.write_text('{"pooling_mode": "attention"}')
    with pytest.raises(InputError, match=r"1_Pooling/config.json: pooling_mode: known are: cls, "):
        read_pooling(folder)
