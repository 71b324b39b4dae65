"""ONNX Runtime, on its CPU execution provider or TensorRT's."""

import ctypes
import json
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgekit import log
from edgekit.edge.engines import Compiled, TensorSession
from edgekit.edge.tasks import Tensors
from edgekit.job import Progress
from edgekit.nouns import Setting

MODEL = "model.onnx"
CPU, TENSORRT = "CPUExecutionProvider", "TensorrtExecutionProvider"
DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/etc/nv_tegra_release"))
LIBRARIES = (Path("/usr/lib/aarch64-linux-gnu"), Path("/usr/lib/x86_64-linux-gnu"))

LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class OrtSession:
    """A session of ONNX Runtime, as edgekit's engines offer it.

    `InferenceSession.run` is thread-safe: with one thread each, streams are callers side by side.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._inputs = [item.name for item in session.get_inputs()]
        self._outputs = [item.name for item in session.get_outputs()]

    def run(self, feeds: Tensors) -> Tensors:
        values = self._session.run(self._outputs, {name: feeds[name] for name in self._inputs})
        return dict(zip(self._outputs, values, strict=True))


def load(folder: Path, setting: Setting) -> TensorSession:
    """Load model.onnx; the option `graph_optimization` is "all" (the default) or "off".

    The option `device` is "CPU" (the default) or "TensorRT", which takes `fp16` and `int8`: what it
    may compute in.
    """
    providers = _providers(setting, _shapes(folder, setting))
    return OrtSession(_session(folder / MODEL, _options(setting), providers))


def device(setting: Setting) -> str:
    """Return the execution provider; for a GPU, the versions of TensorRT and of the driver.

    For a Jetson the Linux for Tegra is added.
    """
    if _device(setting) == "CPU":
        return CPU
    drivers = (path.read_text().splitlines()[0] for path in DRIVERS if path.is_file())
    return "; ".join([f"TensorRT {_tensorrt_version()}", *drivers])


def compile_here(folder: Path, setting: Setting, progress: Progress) -> Compiled:
    """Return the graph optimized for this CPU, or with TensorRT's engine as an EPContext node.

    Returns nothing where the provider writes none, as it may for a graph that it takes only parts
    of.
    """
    progress("compiling", 0)
    options = _options(setting)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / MODEL
        wanted = {}
        if _device(setting) == "CPU":
            options.optimized_model_filepath = str(path)
        else:
            wanted = {
                "trt_dump_ep_context_model": "1",
                "trt_ep_context_embed_mode": "1",  # one file, which is hashed as a whole
                "trt_ep_context_file_path": str(path),
            }
        _session(folder / MODEL, options, _providers(setting, _shapes(folder, setting) | wanted))
        return {MODEL: path.read_bytes()} if path.is_file() else {}


def load_compiled(folder: Path, setting: Setting, compiled: Compiled) -> TensorSession:
    """Load the model with what `compile_here` made.

    Where that is nothing, or ONNX Runtime refuses it, the model is compiled now.
    """
    options = _options(setting)
    if _device(setting) == "CPU":
        # all that there is to optimize was optimized
        options.graph_optimization_level = LEVELS["off"]
    try:
        if MODEL in compiled:
            return OrtSession(_session(compiled[MODEL], options, _providers(setting, {})))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's own, of many kinds
        log.warning("ONNX Runtime refuses what was compiled: %s", error)
    return load(folder, setting)


def _session(
    model: Path | bytes, options: ort.SessionOptions, providers: list[Any]
) -> ort.InferenceSession:
    """Make a session; raises RuntimeError where the first provider does not take the model.

    ONNX Runtime itself would go on with the CPU, in silence, and nobody would know why it is slow.
    """
    first = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
    if first not in ort.get_available_providers():
        raise RuntimeError(
            f"this onnxruntime has no {first}; install NVIDIA's build for this device"
        )
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    if first not in session.get_providers():
        raise RuntimeError(
            f"{first} does not start here; its libraries are missing, or of another version"
        )
    return session


def _device(setting: Setting) -> str:
    return str(setting.options.get("device", "CPU"))


def _options(setting: Setting) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = LEVELS[str(setting.options.get("graph_optimization", "all"))]
    options.log_severity_level = 3
    # Idle threads that spin take the other streams' cores.
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "1" if setting.streams == 1 else "0"
    )
    return options


def _providers(setting: Setting, more: dict[str, str]) -> list[Any]:
    """List the execution providers, the preferred one first; `more` is for TensorRT's."""
    if _device(setting) == "CPU":
        return [CPU]
    precisions = {
        f"trt_{name}_enable": str(int(bool(setting.options.get(name)))) for name in ("fp16", "int8")
    }
    return [(TENSORRT, precisions | more), "CUDAExecutionProvider", CPU]


def _shapes(folder: Path, setting: Setting) -> dict[str, str]:
    """Return TensorRT's options for the range of shapes that one engine is to serve; {} on the CPU.

    Without that range an engine is built for the first input, and anew, for minutes, for each that
    lies beyond it. Raises RuntimeError where nothing limits it.
    """
    if _device(setting) == "CPU":
        return {}
    task = folder / "task.json"
    longest = json.loads(task.read_bytes()).get("max_length") if task.is_file() else None
    ranges: dict[str, list[str]] = {"min": [], "opt": [], "max": []}
    for name, axes in _inputs(folder).items():
        sizes = {
            "min": (1, 1),
            "opt": (setting.batch_size, longest),
            "max": (setting.batch_size, longest),
        }
        for end, (rows, length) in sizes.items():
            shape = [
                size if isinstance(size, int) else rows if axis == 0 else length
                for axis, size in enumerate(axes)
            ]
            if None in shape:
                raise RuntimeError(
                    f"TensorRT needs the longest input, and {task} has no max_length"
                )
            ranges[end].append(f"{name}:{'x'.join(map(str, shape))}")
    return {f"trt_profile_{end}_shapes": ",".join(shapes) for end, shapes in ranges.items()}


def _inputs(folder: Path) -> dict[str, list[Any]]:
    """Return the shape of each input of the model, by its name.

    It is asked of the cheapest session that there is, which is gone before TensorRT needs the
    memory.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level, options.intra_op_num_threads = LEVELS["off"], 1
    session = ort.InferenceSession(folder / MODEL, options, providers=[CPU])
    return {item.name: item.shape for item in session.get_inputs()}


def _tensorrt_version() -> str:
    """Return the version of libnvinfer; "unknown" where it can't be asked.

    The system updates libnvinfer apart from ONNX Runtime.
    """
    try:
        return str(ctypes.CDLL("libnvinfer.so").getInferLibVersion())
    except (OSError, AttributeError):
        found = sorted(path.name for folder in LIBRARIES for path in folder.glob("libnvinfer.so.*"))
        return " ".join(found) or "unknown"
