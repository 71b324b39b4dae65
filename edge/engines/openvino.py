"""OpenVINO, on its CPU device or the NPU beside it."""

import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import openvino as ov

from edgekit import log
from edgekit.edge.engines import Compiled, TensorSession
from edgekit.edge.tasks import Tensors
from edgekit.job import Progress
from edgekit.nouns import Setting

PRECISIONS = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}
MASK = "attention_mask"
WHOLE = "model"  # the name of what is compiled where there are no buckets
IDENTITY = (
    "FULL_DEVICE_NAME",
    "DEVICE_ARCHITECTURE",
    "NPU_DRIVER_VERSION",
    "NPU_COMPILER_VERSION",
    "OPTIMIZATION_CAPABILITIES",
)

Compile = Callable[[ov.Model, str], ov.CompiledModel]  # a model, and the name of its compiled form


class OpenVinoSession:
    """A compiled model of OpenVINO, where every calling thread has an infer request of its own."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._compiled = compiled
        self._inputs = [
            (port.get_any_name(), port.element_type.to_dtype()) for port in compiled.inputs
        ]
        self._outputs = [port.get_any_name() for port in compiled.outputs]
        self._own = threading.local()

    def export(self) -> bytes:
        """Return what the device's plugin made of the model."""
        stream = BytesIO()
        self._compiled.export_model(stream)
        return stream.getvalue()

    def run(self, feeds: Tensors) -> Tensors:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request: ov.InferRequest = self._own.request
        # Tensors set by their place, and not copied: `infer` with a dict takes a twentieth of a
        # small model's time.
        held = [np.ascontiguousarray(feeds[name], dtype) for name, dtype in self._inputs]
        for index, value in enumerate(held):
            request.set_input_tensor(index, ov.Tensor(value, shared_memory=True))
        request.infer()
        return {
            name: request.get_output_tensor(index).data.copy()
            for index, name in enumerate(self._outputs)
        }


class BucketSession:
    """A session that runs one model at a few fixed lengths, each compiled at its first use.

    A batch is split by the true length of its rows; each part is padded or cut to its bucket, and
    the answers come back in the batch's order.

    rows: the batch that the shapes are fixed to, or None for any.
    """

    def __init__(
        self, model: ov.Model, buckets: list[int], rows: int | None, compile_: Compile
    ) -> None:
        self._model = model
        self._inputs = {port.get_any_name() for port in model.inputs}
        self._buckets = np.array(sorted(buckets))
        self._rows = rows
        self._compile = compile_
        self._lock = threading.Lock()
        self._sessions: dict[int, OpenVinoSession] = {}

    def export(self, progress: Progress) -> dict[str, bytes]:
        """Compile for every length; return what the plugin made, by the length."""
        made = {}
        for number, bucket in enumerate(self._buckets.tolist()):
            progress(f"compiling for {bucket} tokens", number / len(self._buckets))
            made[str(bucket)] = self._session(bucket).export()
        return made

    def run(self, feeds: Tensors) -> Tensors:
        mask = feeds[MASK]
        feeds = {name: value for name, value in feeds.items() if name in self._inputs}
        lengths = np.maximum(mask.sum(1), 1)
        index = np.minimum(np.searchsorted(self._buckets, lengths), len(self._buckets) - 1)
        parts: list[tuple[np.ndarray, Tensors]] = []
        for bucket in np.unique(index):
            members = np.flatnonzero(index == bucket)
            size = self._rows or len(members)
            for start in range(0, len(members), size):
                rows = members[start : start + size]
                parts.append((rows, self._part(feeds, rows, int(self._buckets[bucket]))))
        return _joined(parts, len(mask), mask.shape[1])

    def _part(self, feeds: Tensors, rows: np.ndarray, bucket: int) -> Tensors:
        """Answer some rows; what has a tokens axis gets the width of the batch."""
        mask = feeds[MASK]
        width, left = mask.shape[1], _pads_left(mask)
        fixed = {
            name: _fit(value[rows], bucket, left, _filler(value, mask))
            for name, value in feeds.items()
        }
        if self._rows:
            fixed = {name: _repeat(value, self._rows) for name, value in fixed.items()}
        outputs = self._session(bucket).run(fixed)
        return {
            name: _fit(value[: len(rows)], width, left, 0.0)
            if value.ndim > 2 and value.shape[1] == bucket
            else value[: len(rows)]
            for name, value in outputs.items()
        }

    def _session(self, bucket: int) -> OpenVinoSession:
        with self._lock:
            if bucket not in self._sessions:
                model = self._model.clone()
                shape = [self._rows or -1, bucket]
                model.reshape({port.get_any_name(): shape for port in model.inputs})
                self._sessions[bucket] = OpenVinoSession(self._compile(model, str(bucket)))
            return self._sessions[bucket]


def _pads_left(mask: np.ndarray) -> bool:
    return bool(mask[:, -1].all() and not mask[:, 0].all())


def _filler(value: np.ndarray, mask: np.ndarray) -> float:
    """Return what stands where the mask is 0, else 0.

    Some models count positions by the padding's own id.
    """
    padding = value[mask == 0]
    return padding[0] if len(padding) else 0


def _fit(value: np.ndarray, width: int, left: bool, filler: float) -> np.ndarray:
    """Bring [rows, tokens, ...] to `width` tokens, cut or filled on the padded side."""
    more = width - value.shape[1]
    if more <= 0:
        return value[:, -more:] if left else value[:, :width]
    ends = (more, 0) if left else (0, more)
    return np.pad(value, [(0, 0), ends] + [(0, 0)] * (value.ndim - 2), constant_values=filler)


def _repeat(value: np.ndarray, rows: int) -> np.ndarray:
    """Fill a batch up to `rows` rows; the last one stands in for those that lack."""
    return np.concatenate([value, np.repeat(value[-1:], rows - len(value), axis=0)])


def _joined(parts: list[tuple[np.ndarray, Tensors]], rows: int, width: int) -> Tensors:
    joined: Tensors = {}
    for name, first in parts[0][1].items():
        joined[name] = np.empty((rows, *first.shape[1:]), first.dtype)
        for members, outputs in parts:
            joined[name][members] = outputs[name]
    return joined


def load(folder: Path, setting: Setting) -> TensorSession:
    """Load model.xml and model.bin from `folder`.

    `precision` is what the CPU plugin computes in where the file leaves it open. Options:

    buckets: the lengths to run at ("16,32,64", in tokens), as the file may name them, too; "off"
    runs at any.
    device: "CPU" (the default) or "NPU".
    """
    return load_compiled(folder, setting, {})


def device(setting: Setting) -> str:
    """Return what the plugin says of its device.

    Of a CPU that is its name and precisions, of an NPU its driver and compiler.
    """
    core, name = ov.Core(), _device(setting)
    known = core.get_property(name, "SUPPORTED_PROPERTIES")
    return "; ".join(f"{key} {core.get_property(name, key)}" for key in IDENTITY if key in known)


def compile_here(folder: Path, setting: Setting, progress: Progress) -> Compiled:
    """Return the plugin's own blobs: one for each bucket, or one."""
    session = load_compiled(folder, setting, {})
    return (
        session.export(progress)
        if isinstance(session, BucketSession)
        else {WHOLE: session.export()}
    )


def load_compiled(
    folder: Path, setting: Setting, compiled: Compiled
) -> OpenVinoSession | BucketSession:
    """Load the model with what `compile_here` made.

    What is not among it, or what the plugin refuses, is compiled now.
    """
    core, name, config = ov.Core(), _device(setting), _config(setting)
    blobs = dict(compiled)

    def compile_(model: ov.Model, key: str) -> ov.CompiledModel:
        if blob := blobs.pop(key, None):  # the plugin keeps what it needs of it
            try:
                return core.import_model(blob, name, config)
            except RuntimeError as error:
                log.warning("%s refuses what was compiled for it: %s", name, error)
        return core.compile_model(model, name, config)

    model = core.read_model(folder / "model.xml")
    if buckets := _buckets(model, str(setting.options.get("buckets", ""))):
        # One text at a time runs best on a wholly static shape; a batch falls into parts of any
        # size.
        rows = _fixed_rows(model) or (1 if setting.batch_size == 1 else None)
        return BucketSession(model, buckets, rows, compile_)
    return OpenVinoSession(compile_(model, WHOLE))


def _device(setting: Setting) -> str:
    return str(setting.options.get("device", "CPU"))


def _config(setting: Setting) -> dict[str, object]:
    hint: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY" if setting.streams == 1 else "THROUGHPUT"
    }
    if _device(setting) != "CPU":
        return hint  # an NPU has neither threads nor a choice of precision
    config: dict[str, object] = {
        "INFERENCE_NUM_THREADS": setting.threads * setting.streams,
        "NUM_STREAMS": str(setting.streams),
        # A pinned stream waits for its core while the server works there and another core is idle.
        "ENABLE_CPU_PINNING": False,
        **hint,
    }
    if setting.precision in PRECISIONS:
        config["INFERENCE_PRECISION_HINT"] = PRECISIONS[setting.precision]
    return config


def _buckets(model: ov.Model, asked: str) -> list[int]:
    """Return the lengths to run at, in tokens; none for any length."""
    shape = model.inputs[0].get_partial_shape()
    if (
        len(shape) == 2
        and shape.is_static
        and MASK in {port.get_any_name() for port in model.inputs}
    ):
        return [shape[1].get_length()]
    if not asked and model.has_rt_info(["edgekit", "buckets"]):
        asked = str(model.get_rt_info(["edgekit", "buckets"]).value)
    return [] if asked in ("", "off") else [int(length) for length in asked.split(",")]


def _fixed_rows(model: ov.Model) -> int | None:
    rows = model.inputs[0].get_partial_shape()[0]
    return rows.get_length() if rows.is_static else None
