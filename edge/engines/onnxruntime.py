"""ONNX Runtime, on its CPU execution provider."""

from pathlib import Path

import onnxruntime as ort

from edgekit.edge.engines import Session
from edgekit.edge.tasks import Tensors
from edgekit.nouns import Setting

LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class OrtSession:
    """`InferenceSession.run` is thread-safe: with one thread each, streams are callers side by side."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._inputs = [item.name for item in session.get_inputs()]
        self._outputs = [item.name for item in session.get_outputs()]

    def run(self, feeds: Tensors) -> Tensors:
        values = self._session.run(self._outputs, {name: feeds[name] for name in self._inputs})
        return dict(zip(self._outputs, values, strict=True))


def load(folder: Path, setting: Setting) -> Session:
    """model.onnx; the option `graph_optimization` is "all" (the default) or "off"."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = LEVELS[str(setting.options.get("graph_optimization", "all"))]
    options.log_severity_level = 3
    # Idle threads that spin take the other streams' cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if setting.streams == 1 else "0")
    path = folder / "model.onnx"
    return OrtSession(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
