"""Make the example: a reader of single digits, such as those of a meter.

    python prepare.py OUT

writes OUT/model (model.onnx and task.json), the pictures in OUT/pictures, OUT/calibration.csv,
OUT/evaluation.csv and OUT/edgekit.toml. The data is the set of 8x8 handwritten digits that
scikit-learn ships. A model that OUT already holds is kept.
"""

import csv
import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from edgekit.files import make_folder, new_folder

SEED = 7
CALIBRATION, EVALUATION = 150, 600  # pictures of 1797; the others are for training
EPOCHS, BATCH, RATE = 12, 64, 3e-3

SPEC = """\
# edgekit build edgekit.toml --quick

[model]
name = "digits"
version = "1.0.0"
source = "model"
task = "image-classification"

[data]
calibration = "calibration.csv"
evaluation = "evaluation.csv"
input = "path"
label = "label"

[limits]
max_accuracy_drop = 0.02    # a misread meter is read again the next day
p99_ms = 20
memory_mb = 500
"""


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the model, the pictures, their lists and edgekit.toml to OUT."""
    pictures, labels = distinct_digits()
    make_folder(out / "pictures")
    names = [write_picture(out, index, data) for index, data in enumerate(pictures)]
    held = CALIBRATION + EVALUATION
    write_csv(out / "calibration.csv", names[:CALIBRATION], labels[:CALIBRATION])
    write_csv(out / "evaluation.csv", names[CALIBRATION:held], labels[CALIBRATION:held])
    (out / "edgekit.toml").write_text(SPEC, "utf-8")
    if not (out / "model").is_dir():
        with new_folder(out / "model") as folder:
            save(train(pictures[held:], labels[held:]), folder)


def distinct_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures, shuffled, as uint8 [pictures, 8, 8], and their digits.

    Each picture is there once, since one that comes twice could be in both halves.
    """
    data = load_digits()
    pictures = (data.images * 255 / 16).astype(np.uint8)
    _, first = np.unique(pictures.reshape(len(pictures), -1), axis=0, return_index=True)
    order = np.random.default_rng(SEED).permutation(first)
    return pictures[order], data.target[order]


def write_picture(out: Path, index: int, pixels: np.ndarray) -> str:
    """Save a picture as PNG; return its path relative to OUT."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    name = f"pictures/{index:04}.png"
    (out / name).write_bytes(file.getvalue())
    return name


def write_csv(path: Path, names: Sequence[str], labels: np.ndarray) -> None:
    """Write one row for each picture."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows(zip(names, labels, strict=True))


def train(pictures: np.ndarray, labels: np.ndarray) -> torch.nn.Sequential:
    """Train two convolutions and a linear layer, for some seconds."""
    torch.manual_seed(SEED)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 4 * 4, 10),
    )
    inputs = torch.from_numpy(pictures[:, None].astype(np.float32) / 255)
    targets = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(inputs)).split(BATCH):
            loss = torch.nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def save(model: torch.nn.Sequential, folder: Path) -> None:
    """Write model.onnx with a batch axis of any length, and task.json."""
    with warnings.catch_warnings():
        # the exporter that needs no further package is called legacy
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 8, 8),),
            str(folder / "model.onnx"),
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )
    task = {
        "task": "image-classification",
        "labels": [str(digit) for digit in range(10)],
        "height": 8,
        "width": 8,
        "channels": 1,
    }
    (folder / "task.json").write_text(json.dumps(task, indent=2), "utf-8")


if __name__ == "__main__":
    main()
