"""The other text tasks and sources all the way: build, bundle, deploy, answer."""

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgekit.nouns import Build, read_json
from tests.conftest import Built, edgekit
from tests.families import CORPUS, make_family
from tests.quantize.folder.test_check import change
from tests.quantize.folder.test_newer import as_five

WORDS = sorted({word for line in CORPUS for word in line.split()})


def sentences(count: int, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [rng.choices(WORDS, k=rng.randint(2, 14)) for _ in range(count)]


def write_spec(folder: Path, task: str, ending: str, recipes: list[str], more: str = "") -> Path:
    spec = folder / "edgekit.toml"
    spec.write_text(
        f'[model]\nname = "small"\nsource = "model"\ntask = "{task}"\n{more}'
        f'[data]\ncalibration = "calibration.{ending}"\nevaluation = "evaluation.{ending}"\n'
        f"[target]\nrecipes = {json.dumps(recipes)}\n[limits]\nmax_accuracy_drop = 0.5\n"
    )
    return spec


def deployed(folder: Path, keys: Path, variant: str) -> Path:
    """The build in `folder`, packed and deployed."""
    bundle, appliance = folder / "bundle", folder / "appliance"
    edgekit(
        "bundle",
        "pack",
        folder / "build",
        "--key",
        keys / "release.key",
        "--variant",
        variant,
        "--out",
        bundle,
    )
    edgekit("deploy", bundle, appliance, "--trust", keys / "release.pub")
    return appliance


def test_a_tagger(tmp_path: Path, keys: Path) -> None:
    folder = make_family("bert", "token-classification", tmp_path / "model")
    change(folder / "config.json", hobby="fishing")
    rng = random.Random(2)
    for name, seed, count in (("calibration", 0, 20), ("evaluation", 1, 60)):
        lines = [
            "".join(f"{word} {rng.choice(['O', 'O', 'B-PART', 'I-PART'])}\n" for word in words)
            for words in sentences(count, seed)
        ]
        (tmp_path / f"{name}.conll").write_text("\n".join(lines))
    recipes = ["onnx-fp32", "onnx-int8-static", "openvino-int8"]
    spec = write_spec(tmp_path, "token-classification", "conll", recipes)
    ran = edgekit("build", spec, "--quick", "--json")
    built = ran.json
    assert "model/config.json: hobby: edgekit does not know this key" in ran.err
    listed = json.loads((tmp_path / "build" / "source-keys.json").read_text())["keys"]
    assert {"config.json", "tokenizer.json"} < {item["file"] for item in listed}
    assert [item["status"] for item in built["variants"]] == ["accepted"] * 3, built["variants"]
    float_one, integer, _ = built["variants"]
    assert float_one["metric"] == "entity_f1"
    assert float_one["agreement"] == 1
    assert integer["calibration_samples"] == 20
    assert integer["calibration_sha256"].startswith("sha256:")
    assert max(integer["contents"], key=integer["contents"].get) in ("int8", "fp32")
    assert integer["contents"]["int8"] > 10_000
    appliance = deployed(tmp_path, keys, "onnx-fp32")
    text = "the coolant pump leaks"
    found = edgekit("predict", appliance, text, "--json").json["entities"]
    assert all(text[item["start"] : item["end"]] == item["word"] for item in found)
    (tmp_path / "in.csv").write_text(f"text\n{text}\n")
    edgekit("batch", tmp_path / "in.csv", tmp_path / "out.csv", "--appliance", appliance)
    with (tmp_path / "out.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert json.loads(row["predicted_entities"]) == found


def test_an_embedder(tmp_path: Path, keys: Path) -> None:
    as_five(make_family("roberta", "feature-extraction", tmp_path / "model"))
    rng = random.Random(3)
    for name, seed, count in (("calibration", 0, 10), ("evaluation", 1, 40)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text_a", "text_b", "label"])
            for words in sentences(count, seed):
                writer.writerow(
                    [f"{seed} " + " ".join(words), " ".join([*words[1:], str(seed)]), rng.random()]
                )
    spec = write_spec(tmp_path, "feature-extraction", "csv", ["onnx-fp32", "onnx-int8-dynamic"])
    ran = edgekit("build", spec, "--quick", "--json")
    built = ran.json
    assert "model: written by transformers 5 or later; transformers 4." in ran.err
    assert [item["status"] for item in built["variants"]] == ["accepted"] * 2, built["variants"]
    assert built["variants"][0]["metric"] == "spearman_cosine"
    assert built["variants"][0]["agreement"] > 0.9999
    assert built["variants"][1]["drop_upper_bound"] > built["variants"][1]["drop"]
    appliance = deployed(tmp_path, keys, "onnx-int8-dynamic")
    vector = edgekit("predict", appliance, "the pump leaks", "--json").json["embedding"]
    assert len(vector) == 64
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_any_number_of_labels_with_a_threshold(tmp_path: Path, keys: Path) -> None:
    make_family(
        "distilbert",
        "text-classification",
        tmp_path / "model",
        problem_type="multi_label_classification",
    )
    rng = random.Random(4)
    for name, seed, count in (("calibration", 0, 40), ("evaluation", 1, 60)):
        rows = [
            {
                "text": " ".join(words),
                "label": rng.sample(["O", "B-PART", "I-PART"], rng.randint(0, 2)),
            }
            for words in sentences(count, seed)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    threshold = '[model.threshold]\nlabel = "B-PART"\nsensitivity = 0.9\n'
    spec = write_spec(tmp_path, "text-classification", "jsonl", ["onnx-fp32"], threshold)
    built = edgekit("build", spec, "--quick", "--json").json["variants"][0]
    assert (built["status"], built["metric"]) == ("accepted", "micro_f1"), built["reason"]
    assert built["reliability"]["roc_auc"].keys() == {"O", "B-PART", "I-PART"}
    appliance = deployed(tmp_path, keys, "onnx-fp32")
    described = (
        next((appliance / "slots").rglob("task.json")) if (appliance / "slots").is_dir() else None
    )
    config = json.loads((described or next(appliance.rglob("task.json"))).read_text())
    assert 0 < config["thresholds"]["B-PART"] < 1
    assert "labels" in edgekit("predict", appliance, "the pump leaks", "--json").json
    spec.write_text(spec.read_text().replace('"B-PART"', '"B-LEG"'))
    assert "has no label 'B-LEG'" in edgekit("build", spec, code=2).err


@pytest.fixture
def quantized(built: Built, tiny: Path, tmp_path: Path) -> Path:
    """A project whose source is the tiny model's static int8 artifact, a QDQ ONNX."""
    build = read_json((built.folder / "build.json").read_bytes(), Build)
    artifact = next(item.artifact for item in build.variants if item.name == "onnx-int8-static")
    assert artifact
    shutil.copytree(built.folder / "cache" / "artifacts" / artifact.key, tmp_path / "model")
    for name in ("calibration.csv", "evaluation.csv"):
        shutil.copyfile(tiny / name, tmp_path / name)
    return tmp_path


def test_a_source_that_is_quantized_already(quantized: Path, tiny: Path) -> None:
    operators = {node.op_type for node in onnx.load(quantized / "model" / "model.onnx").graph.node}
    assert "QuantizeLinear" in operators
    spec = write_spec(quantized, "text-classification", "csv", [])
    text = spec.read_text().replace("[target]\nrecipes = []\n", "")
    spec.write_text(text)
    assert "model.reference, or set limits.min_metric" in edgekit("build", spec, code=2).err
    spec.write_text(text.replace("max_accuracy_drop = 0.5", "min_metric = 0.9"))
    alone: dict[str, Any] = edgekit("build", spec, "--quick", "--json").json
    assert (alone["chosen"], alone["variants"][0]["precision"]) == ("onnx-source", "as-stored")
    assert alone["reference"].endswith("the source itself")
    source = 'source = "model"\n'
    spec.write_text(
        text.replace(source, f'{source}reference = "{tiny / "model"}"\n').replace("0.5", "0.05")
    )
    compared = edgekit("build", spec, "--quick", "--json").json
    assert (compared["chosen"], compared["reference"]) == ("onnx-source", "PyTorch fp32")
    assert 0.9 < compared["variants"][0]["agreement"] <= 1
    spec.write_text(
        text.replace("[limits]", '[target]\nrecipes = ["onnx-int8-dynamic"]\n[limits]').replace(
            "max_accuracy_drop", "min_metric"
        )
    )
    assert "onnx-source is all that can be made of it" in edgekit("build", spec, code=2).err
    task = json.loads((quantized / "model" / "task.json").read_text())
    # a swapped label map is caught by the names, as the reference has its own
    task["labels"] = task["labels"][::-1]
    (quantized / "model" / "task.json").write_text(json.dumps(task))
    spec.write_text(
        text.replace(source, f'{source}reference = "{tiny / "model"}"\n').replace("0.5", "0.05")
    )
    assert "max_accuracy_drop" in edgekit("build", spec, "--quick", code=4).err


def test_a_gguf_source(built: Built, quantized: Path, tiny: Path) -> None:
    build = read_json((built.folder / "build.json").read_bytes(), Build)
    artifact = next(item.artifact for item in build.variants if item.name == "gguf-q8_0")
    assert artifact
    (quantized / "model" / "model.onnx").unlink()
    shutil.copyfile(
        built.folder / "cache" / "artifacts" / artifact.key / "model.gguf",
        quantized / "model" / "model.gguf",
    )
    spec = write_spec(
        quantized,
        "text-classification",
        "csv",
        ["gguf-source"],
        f'reference = "{tiny / "model"}"\n',
    )
    found = edgekit("build", spec, "--quick", "--json").json["variants"][0]
    assert (found["name"], found["status"]) == ("gguf-source", "accepted"), found["reason"]
    assert found["contents"]["q8_0"] > found["contents"]["f32"]


def test_floors_name_classes_that_there_are(judged_project: Path) -> None:
    spec = judged_project / "edgekit.toml"
    text = spec.read_text() + '[target]\nrecipes = ["onnx-fp32"]\n'
    spec.write_text(text + "[limits.min_recall]\nrust = 0.9\n")
    assert (
        "limits.min_recall: the model has no class 'rust'; it has:"
        in edgekit("build", spec, code=2).err
    )
    spec.write_text(
        text + "[limits.min_recall]\nbelt_slip = 0.9\n[limits.min_precision]\nbelt_slip = 0.98\n"
    )
    ran = edgekit("build", spec, "--quick", "--json", code=4)
    reason = ran.json["variants"][0]["reason"]
    assert "min_precision.belt_slip" in reason
    assert "too few samples to tell" in reason
    assert "min_recall" not in reason
