"""ONNX Runtime, on its CPU execution provider or TensorRT's."""

import json
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgekit.edge.engines import Compiled, Session
from edgekit.edge.tasks import Tensors
from edgekit.job import Progress
from edgekit.nouns import Setting

MODEL = "model.onnx"
CPU, TENSORRT = "CPUExecutionProvider", "TensorrtExecutionProvider"
DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/etc/nv_tegra_release"))

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
    """model.onnx; the option `graph_optimization` is "all" (the default) or "off".

    The option `device` is "CPU" (the default) or "TensorRT", which takes `fp16` and `int8`: what it may compute in.
    """
    return OrtSession(
        ort.InferenceSession(folder / MODEL, _options(setting), providers=_providers(folder, setting))
    )


def device(setting: Setting) -> str:
    """The execution provider; of a GPU its driver and, of a Jetson, its Linux for Tegra."""
    if _device(setting) == "CPU":
        return CPU
    return "; ".join([TENSORRT, *(path.read_text().splitlines()[0] for path in DRIVERS if path.is_file())])


def compile_here(folder: Path, setting: Setting, progress: Progress) -> Compiled:
    """The graph as it was optimized for this CPU, or with TensorRT's engine inside (an EPContext node)."""
    progress("compiling", 0)
    options = _options(setting)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / MODEL
        if _device(setting) == "CPU":
            options.optimized_model_filepath = str(path)
        else:
            options.add_session_config_entry("ep.context_enable", "1")
            options.add_session_config_entry(
                "ep.context_embed_mode", "1"
            )  # one file, which is hashed as a whole
            options.add_session_config_entry("ep.context_file_path", str(path))
        ort.InferenceSession(folder / MODEL, options, providers=_providers(folder, setting))
        return {MODEL: path.read_bytes()}


def load_compiled(folder: Path, setting: Setting, compiled: Compiled) -> Session:
    """With the graph as it is: all that there is to optimize was optimized."""
    options = _options(setting)
    options.graph_optimization_level = LEVELS["off"]
    providers = _providers(folder, setting)
    return OrtSession(ort.InferenceSession(compiled[MODEL], options, providers=providers))


def _device(setting: Setting) -> str:
    return str(setting.options.get("device", "CPU"))


def _options(setting: Setting) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = LEVELS[str(setting.options.get("graph_optimization", "all"))]
    options.log_severity_level = 3
    # Idle threads that spin take the other streams' cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if setting.streams == 1 else "0")
    return options


def _providers(folder: Path, setting: Setting) -> list[Any]:
    """In the order of preference; raises RuntimeError where the one that is asked for is not there.

    ONNX Runtime itself would go on with the CPU, and nobody would know why it is slow.
    """
    if _device(setting) == "CPU":
        return [CPU]
    if TENSORRT not in ort.get_available_providers():
        raise RuntimeError(f"this onnxruntime has no {TENSORRT}; install NVIDIA's build for this device")
    return [(TENSORRT, tensorrt_options(folder, setting)), "CUDAExecutionProvider", CPU]


def tensorrt_options(folder: Path, setting: Setting) -> dict[str, str]:
    """What its provider is asked for: precisions, and the range of shapes that one engine is to serve.

    Without that range an engine is built for the first input, and anew, for minutes, for each that lies beyond it.
    """
    task = folder / "task.json"
    longest = json.loads(task.read_bytes()).get("max_length") if task.is_file() else None
    plain = ort.InferenceSession(folder / MODEL, providers=[CPU])
    ranges: dict[str, list[str]] = {"min": [], "opt": [], "max": []}
    for item in plain.get_inputs():
        sizes = {"min": (1, 1), "opt": (setting.batch_size, longest), "max": (setting.batch_size, longest)}
        for end, (rows, length) in sizes.items():
            shape = [
                size if isinstance(size, int) else rows if axis == 0 else length
                for axis, size in enumerate(item.shape)
            ]
            if None in shape:
                raise RuntimeError(f"TensorRT needs the longest input, and {task} has no max_length")
            ranges[end].append(f"{item.name}:{'x'.join(map(str, shape))}")
    precisions = {
        f"trt_{name}_enable": str(int(bool(setting.options.get(name)))) for name in ("fp16", "int8")
    }
    return precisions | {f"trt_profile_{end}_shapes": ",".join(shapes) for end, shapes in ranges.items()}
