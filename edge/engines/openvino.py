"""OpenVINO, on its CPU device."""

import threading
from pathlib import Path

import openvino as ov

from edgekit.edge.engines import Session
from edgekit.edge.tasks import Tensors
from edgekit.nouns import Setting

PRECISIONS = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}


class OpenVinoSession:
    """Every calling thread has an infer request of its own."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._compiled = compiled
        self._inputs = {port.get_any_name() for port in compiled.inputs}
        self._outputs = [port.get_any_name() for port in compiled.outputs]
        self._own = threading.local()

    def run(self, feeds: Tensors) -> Tensors:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request: ov.InferRequest = self._own.request
        request.infer({name: value for name, value in feeds.items() if name in self._inputs})
        return {
            name: request.get_output_tensor(index).data.copy() for index, name in enumerate(self._outputs)
        }


def load(folder: Path, setting: Setting) -> Session:
    """model.xml and model.bin; `precision` is what the CPU plugin computes in where the file leaves it open."""
    config: dict[str, object] = {
        "INFERENCE_NUM_THREADS": setting.threads * setting.streams,
        "NUM_STREAMS": str(setting.streams),
        "PERFORMANCE_HINT": "LATENCY" if setting.streams == 1 else "THROUGHPUT",
    }
    if setting.precision in PRECISIONS:
        config["INFERENCE_PRECISION_HINT"] = PRECISIONS[setting.precision]
    return OpenVinoSession(ov.Core().compile_model(str(folder / "model.xml"), "CPU", config))
