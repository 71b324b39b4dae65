"""Make small specialists that are no texts' models, with random weights or trained in no time.

Each comes as a folder with model.onnx and task.json, as edgekit takes it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.raw_rows import FEATURES, MEANS, SPREADS

PICTURE_LABELS = ["crack", "dent", "scratch", "sound"]
TABLE_LABELS = ["leaking", "sound", "worn"]
HEIGHT, WIDTH = 24, 32
MEAN, STD = (0.48, 0.45, 0.40), (0.22, 0.23, 0.26)


def make_picture_classifier(folder: Path, seed: int = 0) -> Path:
    """Make a classifier of pictures, with transformers' preprocessor_config.json beside it."""
    import transformers

    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((3 * HEIGHT * WIDTH, len(PICTURE_LABELS))) * 0.05
    size = ["pictures", 3, HEIGHT, WIDTH]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["pixel_values"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        ],
        "pictures",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pictures", 4])],
        [numpy_helper.from_array(matrix.astype(np.float32), "matrix")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, folder / "model.onnx")
    task = {"task": "image-classification", "labels": PICTURE_LABELS, "mean": MEAN, "std": STD}
    shape = {"height": HEIGHT, "width": WIDTH}
    (folder / "task.json").write_text(json.dumps(task | shape))
    transformers.ViTImageProcessor(size=shape, image_mean=MEAN, image_std=STD).save_pretrained(
        folder
    )
    return folder


def make_table_classifier(folder: Path, estimator: Any, seed: int = 0) -> Any:  # noqa: ANN401
    """Train a scikit-learn estimator behind a scaler, write it as ONNX, and return the pipeline."""
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    inputs = random.normal(MEANS, SPREADS, (400, len(FEATURES)))
    scaled = (inputs - np.array(MEANS)) / np.array(SPREADS)
    truth = (scaled @ random.standard_normal((len(FEATURES), 3))).argmax(axis=1)
    pipeline = make_pipeline(StandardScaler(), estimator)
    pipeline.fit(inputs, np.array(TABLE_LABELS)[truth])
    made = skl2onnx.convert_sklearn(
        pipeline,
        initial_types=[("features", FloatTensorType([None, len(FEATURES)]))],
        options={"zipmap": False},
        target_opset=17,
    )
    onnx.save(made, folder / "model.onnx")
    task = {"task": "tabular-classification", "labels": TABLE_LABELS, "features": FEATURES}
    (folder / "task.json").write_text(json.dumps(task))
    return pipeline
