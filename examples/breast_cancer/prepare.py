"""Make the example: a classifier of breast masses from 30 measurements.

    python prepare.py OUT

writes OUT/model (model.onnx and task.json), OUT/calibration.csv, OUT/evaluation.csv and
OUT/edgekit.toml. The data is the Wisconsin diagnostic set that scikit-learn ships. A model that OUT
already holds is kept.
"""

import csv
import json
from pathlib import Path

import click
import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from edgekit.files import make_folder, new_folder

SEED = 7
CALIBRATION, EVALUATION = 60, 250  # rows of 569; the other 259 are for training
HIDDEN = (64, 32)  # units: small, and enough matrix for int8 to work on

SPEC = """\
# edgekit build edgekit.toml --quick

[model]
name = "breast-cancer"
version = "1.0.0"
source = "model"
task = "tabular-classification"

[data]
calibration = "calibration.csv"
evaluation = "evaluation.csv"
label = "diagnosis"

[limits]
max_accuracy_drop = 0.03    # what 250 samples can show: the bound is 0.011 at best
p99_ms = 20
memory_mb = 300
"""


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the model, the data and edgekit.toml to OUT."""
    data = load_breast_cancer()
    features = [name.replace(" ", "_") for name in data.feature_names]
    labels = [str(name) for name in data.target_names]
    values, targets = data.data.astype(np.float32), data.target
    training, held, training_targets, held_targets = train_test_split(
        values, targets, test_size=CALIBRATION + EVALUATION, stratify=targets, random_state=SEED
    )
    make_folder(out)
    write_csv(
        out / "calibration.csv",
        features,
        held[:CALIBRATION],
        [labels[i] for i in held_targets[:CALIBRATION]],
    )
    write_csv(
        out / "evaluation.csv",
        features,
        held[CALIBRATION:],
        [labels[i] for i in held_targets[CALIBRATION:]],
    )
    (out / "edgekit.toml").write_text(SPEC, "utf-8")
    if not (out / "model").is_dir():
        with new_folder(out / "model") as folder:
            save(train(training, training_targets), features, labels, folder)


def write_csv(path: Path, features: list[str], rows: np.ndarray, labels: list[str]) -> None:
    """Write one row for each mass: its measurements and its diagnosis."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*features, "diagnosis"))
        writer.writerows((*map(str, row), label) for row, label in zip(rows, labels, strict=True))


def train(rows: np.ndarray, targets: np.ndarray) -> Pipeline:
    """Train the classifier; scaling is part of the pipeline, and so of the graph."""
    network = MLPClassifier(HIDDEN, alpha=0.01, max_iter=400, random_state=SEED)
    return make_pipeline(StandardScaler(), network).fit(rows, targets)


def save(pipeline: Pipeline, features: list[str], labels: list[str], folder: Path) -> None:
    """Write model.onnx with the input `features` and the output `probabilities`, and task.json."""
    model = to_onnx(
        pipeline,
        np.zeros((1, len(features)), np.float32),
        options={"zipmap": False},
        target_opset=17,
    )
    old = model.graph.input[0].name
    for node in model.graph.node:
        node.input[:] = ["features" if name == old else name for name in node.input]
    model.graph.input[0].name = "features"
    onnx.save(model, folder / "model.onnx")
    task = {"task": "tabular-classification", "labels": labels, "features": features}
    (folder / "task.json").write_text(json.dumps(task, indent=2), "utf-8")


if __name__ == "__main__":
    main()
