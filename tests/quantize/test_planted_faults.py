"""Plant what goes wrong when models are converted, one fault at a time.

The gate catches each, and passes what is harmless.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgekit.edge.engines import load_engine
from edgekit.edge.model.tensor_model import Model, open_model
from edgekit.edge.tasks import Tensors, load_task
from edgekit.nouns import Limits, Setting, Variant
from edgekit.profiles.choose import judge
from edgekit.profiles.data import read_dataset
from edgekit.profiles.quality_job import gate_figures
from tests.conftest import Built
from tests.evidence import variant

LIMITS = Limits(max_accuracy_drop=0.05)
SETTING = Setting(batch_size=8)


@pytest.fixture
def artifact(built: Built, tmp_path: Path) -> Path:
    """A copy of the tiny model's onnx-fp32."""
    key = json.loads((built.folder / "build.json").read_bytes())["variants"][0]["artifact"]["key"]
    return Path(shutil.copytree(built.folder / "cache" / "artifacts" / key, tmp_path / "artifact"))


@pytest.fixture
def gate(built: Built, tiny: Path) -> Callable[[Model, str], Variant]:
    """Return a function that gates a model on the tiny evaluation set.

    It judges the model as a variant of the named precision.
    """
    reference = next((built.folder / "cache" / "references").iterdir())
    task = load_task(next((built.folder / "cache" / "tasks").iterdir()))

    def judged(model: Model, precision: str) -> Variant:
        data = read_dataset(tiny / "evaluation.csv", task, ["text"], "label")
        quality = gate_figures(model, task, data, reference, "", lambda *_: None)
        planted = variant("planted", precision)
        evidence = msgspec.structs.replace(planted.evidence, quality=quality)
        return judge(msgspec.structs.replace(planted, evidence=evidence), LIMITS, 0.99)

    return judged


def edit(folder: Path, change: Callable[[onnx.ModelProto], onnx.ModelProto | None]) -> None:
    path = folder / "model.onnx"
    model = onnx.load(path)
    onnx.save(change(model) or model, path)


def edit_json(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    config = json.loads((folder / name).read_text())
    change(config)
    (folder / name).write_text(json.dumps(config))


def scaled_weight(folder: Path) -> None:
    """Scale one matrix of the first layer, as a wrong scale of a quantizer would."""

    def change(model: onnx.ModelProto) -> None:
        weight = next(item for item in model.graph.initializer if list(item.dims) == [64, 128])
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 60, weight.name))

    edit(folder, change)


def swapped_labels(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["labels"][0], config["labels"][1] = config["labels"][1], config["labels"][0]

    edit_json(folder, "task.json", change)


def another_tokenizer(folder: Path) -> None:
    """Take the vocabulary of another version: the same words, the numbers of some changed."""

    def change(config: dict[str, Any]) -> None:
        vocab = config["model"]["vocab"]
        words = sorted(word for word in vocab if not word.startswith("["))
        numbers = [vocab[word] for word in words]
        vocab.update(zip(words, numbers[7:] + numbers[:7], strict=True))

    edit_json(folder, "tokenizer.json", change)


def wrong_max_length(folder: Path) -> None:
    edit_json(folder, "task.json", lambda config: config.update(max_length=5))


def left_padding(folder: Path) -> None:
    """Pad on the left.

    Positions are counted from the first column on, so it matters, but only beside a longer text.
    """
    edit_json(folder, "task.json", lambda config: config.update(padding_side="left"))


def dropped_pooler(folder: Path) -> None:
    """The classifier reads the first token's state itself."""

    def change(model: onnx.ModelProto) -> None:
        pooler = next(node for node in model.graph.node if "/pooler/dense" in node.name)
        head = next(node for node in model.graph.node if node.name.startswith("/classifier/"))
        head.input[0] = pooler.input[0]

    edit(folder, change)


FAULTS = [
    scaled_weight,
    swapped_labels,
    another_tokenizer,
    wrong_max_length,
    left_padding,
    dropped_pooler,
]


@pytest.mark.parametrize(
    ("plant", "precision"),
    [
        *((plant, "fp32") for plant in FAULTS),
        # An integer variant may answer otherwise as long as it is right as often: this model hardly
        # minds positions.
        *((plant, "int8") for plant in FAULTS if plant is not left_padding),
    ],
)
def test_a_planted_fault_is_caught(
    artifact: Path,
    gate: Callable[[Model, str], Variant],
    plant: Callable[[Path], None],
    precision: str,
) -> None:
    plant(artifact)
    judged = gate(open_model(artifact, "onnxruntime", SETTING), precision)
    assert judged.status == ("failed" if precision == "fp32" else "rejected"), judged.reason


def test_nan_on_one_length_is_caught(artifact: Path, gate: Callable[[Model, str], Variant]) -> None:
    """An engine that has a broken kernel for one shape is caught."""
    session = load_engine("onnxruntime").load(artifact, SETTING)

    class Broken:
        def run(self, feeds: Tensors) -> Tensors:
            outputs = session.run(feeds)
            is_hit = feeds["input_ids"].shape[1] == 17
            return {
                name: np.full_like(value, np.nan) if is_hit else value
                for name, value in outputs.items()
            }

    with pytest.raises(ArithmeticError, match=r"answers with NaN or infinity .*, first for row"):
        gate(Model(load_task(artifact), Broken(), SETTING), "int8")


def reordered_nodes(folder: Path) -> None:
    """Nodes in another order that is just as right, and other names for what flows between them."""

    def change(model: onnx.ModelProto) -> None:
        done = {item.name for item in (*model.graph.initializer, *model.graph.input)} | {""}
        waiting, order = list(model.graph.node), []
        while waiting:
            ready = [node for node in waiting if set(node.input) <= done]
            order.append(ready[-1])
            waiting.remove(ready[-1])
            done |= set(ready[-1].output)
        del model.graph.node[:]
        model.graph.node.extend(order)

    edit(folder, change)


def saved_again(folder: Path) -> None:
    edit(folder, lambda model: None)


def halved(folder: Path) -> None:
    edit(folder, lambda model: convert_float_to_float16(model, keep_io_types=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "precision"),
    [(reordered_nodes, "fp32"), (saved_again, "fp32"), (halved, "fp16"), (halved, "int8")],
)
def test_what_is_harmless_passes(
    artifact: Path,
    gate: Callable[[Model, str], Variant],
    change: Callable[[Path], None],
    precision: str,
) -> None:
    change(artifact)
    judged = gate(open_model(artifact, "onnxruntime", SETTING), precision)
    assert judged.status == "accepted", judged.reason
