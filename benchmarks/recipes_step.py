"""One step of recipes.py in a process of its own: put a file through the gate, or time it.

python benchmarks/recipes_step.py judge|time REQUEST, a JSON object; the result is the last line of
standard output.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.confidence import upper_bound
from edgekit.edge.model.tensor_model import open_model
from edgekit.edge.tasks import load_task
from edgekit.nouns import Setting
from edgekit.profiles.data import Dataset, input_columns, read_dataset, shuffled
from edgekit.profiles.quality_job import MeasuredQuality, quality_job
from edgekit.profiles.scenarios import EFFORTS, samples_per_s, single_stream

EFFORT = EFFORTS["default"]


def judge(request: dict[str, Any]) -> dict[str, Any]:
    """Return the metric of a file, its drop, and the drop's upper bound.

    They are found by the gate that edgekit's own variants go through.
    """
    data = _data(request)
    asked = {
        "folder": request["folder"],
        "task_folder": request["folder"],
        "engine": request["engine"],
        "settings": request["settings"][-1:],
        "objective": "latency",
        "evaluation": str(data.path),
        "evaluation_sha256": data.sha256,
        "columns": _columns(request),
        "label": request["label"],
        "reference": request["reference"],
        "effort": "quick",
        "calibration_sha256": "",
    }
    quality = msgspec.convert(quality_job(asked, lambda what, share: None), MeasuredQuality).quality
    return {
        "status": "peer",
        "metric": quality.metric,
        "metric_value": quality.metric_value,
        "agreement": quality.agreement,
        "drop": quality.comparison.drop,
        "drop_upper_bound": upper_bound(quality.comparison, request["confidence"]),
    }


def time(request: dict[str, Any]) -> float:
    """Return p50 in ms of one input at a time, or samples a second in full batches.

    It is that of the best of the settings.
    """
    data = _data(request)
    inputs = shuffled(data.inputs)
    folder, engine = Path(request["folder"]), request["engine"]
    models = (
        open_model(folder, engine, msgspec.convert(setting, Setting))
        for setting in request["settings"]
    )
    if request["objective"] == "latency":
        return min(float(np.median(single_stream(model, inputs, EFFORT)[0])) for model in models)
    return max(samples_per_s(model, inputs, EFFORT.seconds) for model in models)


def _data(request: dict[str, Any]) -> Dataset:
    task = load_task(Path(request["folder"]))
    return read_dataset(Path(request["evaluation"]), task, _columns(request), request["label"])


def _columns(request: dict[str, Any]) -> list[str]:
    task = load_task(Path(request["folder"]))
    return input_columns(Path(request["evaluation"]), task, request["input"], request["label"])


STEPS = {"judge": judge, "time": time}

if __name__ == "__main__":
    result = STEPS[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps(result))
