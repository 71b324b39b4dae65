"""Estimates where the device isn't at hand: latency from the graph's operations and peak rates.

A roofline (S. Williams, A. Waterman, D. Patterson, CACM 52, 2009): the time that the arithmetic, or
the reading of the weights, takes at the peak of the device class. Real engines are slower; how much
slower is taken from the variants that were measured here, and the spread of that factor among them
is the estimate's error. An estimate is no evidence: it is never signed, never kept in a build, and
never part of a choice.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgekit.edge.tasks import Task
from edgekit.errors import InputError, MissingPackage
from edgekit.nouns import Build, Figure, MeasuredVariant, Noun
from edgekit.profiles.build_folder import model_folder
from edgekit.profiles.intervals import UNBOUNDED
from edgekit.targets import Peak, Target, find_target
from edgekit.targets.detect import Machine

BASE = "onnx-fp32"  # its graph is counted: all variants do the same products
PRODUCTS = ("MatMul", "Gemm", "Conv")
# computed in int8
INT8 = ("int8", "q8_0", "q4_k_m", "q4_0", "q5_k_m", "q6_k", "q3_k_m", "q2_k", "iq4_xs")


class Work(Noun, frozen=True, kw_only=True):
    """What one input asks of a device.

    tokens: the length of the input.
    flops: the operations, two for each multiply-add.
    looked_up: the share of weights only looked up.
    """

    tokens: int
    flops: float
    looked_up: float


class Estimate(Noun, frozen=True, kw_only=True):
    """An estimate of one variant on a device class.

    p50_ms: the latency, estimated and not measured; its interval is the spread of the factor here,
    and unbounded where a single variant has one.
    ideal_ms: the latency at the class's peak.
    factor: measured over ideal time, of this variant here.
    """

    kind: Literal["estimated"] = "estimated"
    variant: str
    target: str
    p50_ms: Figure
    ideal_ms: float
    factor: float


def estimate(build: Build, out: Path, target: Target, here: Machine, tokens: int) -> list[Estimate]:
    """Estimate each measured variant of a build that was made on this machine.

    Raises InputError, MissingPackage.
    """
    check_base(build, out)
    speed = _speed(target.peak)
    if target.peak is None or speed is None:
        raise InputError(
            f"--estimate {target.name}: a class of many machines, of which no speed is known; one"
            " of a single board has"
        )
    work = count(model_folder(out, BASE) / "model.onnx", tokens)
    peak, own = _own_peak(build, here)
    factors = {
        item.name: item.evidence.performance.p50_ms.value / _ideal_ms(work, item, peak, own)
        for item in build.measured
    }
    found = []
    for item in build.measured:
        ideal = _ideal_ms(work, item, target.peak, speed)
        p50 = with_error(ideal * factors[item.name], list(factors.values()))
        found.append(
            Estimate(
                variant=item.name,
                target=target.name,
                p50_ms=p50,
                ideal_ms=ideal,
                factor=factors[item.name],
            )
        )
    return found


def check_base(build: Build, out: Path) -> None:
    """Raise InputError where a build lacks the variant whose operations are counted."""
    if BASE not in {item.name for item in build.measured}:
        raise InputError(
            f"{out}: an estimate counts the operations of {BASE}; add it to target.recipes"
        )


def with_error(value: float, factors: Sequence[float]) -> Figure:
    """Return the estimate with its error here.

    The error is how far a variant's factor lies from the others' middle, at worst.
    """
    if len(factors) < 2:
        return Figure(value=value, low=0.0, high=UNBOUNDED)
    spread = _spread(factors)
    return Figure(value=value, low=value / spread, high=value * spread)


def _spread(factors: Sequence[float]) -> float:
    middle = math.exp(float(np.mean(np.log(factors))))
    return max(max(factor / middle, middle / factor) for factor in factors)


def _speed(peak: Peak | None) -> float | None:
    """Return cores times gigahertz of a device class; None if it is a class of many machines."""
    if peak is None or peak.cores is None or peak.ghz is None:
        return None
    return peak.cores * peak.ghz


def _own_peak(build: Build, here: Machine) -> tuple[Peak, float]:
    """Return the peak rates of this machine's class, and cores times gigahertz of this machine."""
    peak = find_target(build.target, "build.target").peak
    if peak is None or here.ghz is None:
        raise InputError(
            f"{build.target}: the speed of this machine is not known, so nothing can be scaled"
            " from it"
        )
    return peak, here.cores * here.ghz


def _ideal_ms(work: Work, variant: MeasuredVariant, peak: Peak, speed: float) -> float:
    """Return the milliseconds of one input at the peak rates.

    speed: cores times gigahertz.
    """
    per_cycle = peak.int8_per_cycle if variant.precision in INT8 else peak.fp32_per_cycle
    arithmetic = work.flops / (per_cycle * speed * 1e9)
    read = sum(variant.artifact.contents.values()) * (1 - work.looked_up)
    return 1e3 * max(arithmetic, read / (peak.bandwidth_gb_s * 1e9) if peak.bandwidth_gb_s else 0.0)


def tokens_of(task: Task[Any], inputs: Sequence[Any]) -> int:
    """Return the median length of the inputs, in tokens of the model's tokenizer.

    It is 1 for tasks without a text. Of a document that is read in windows, the longest counts.
    """
    lengths = [
        int(mask.sum(axis=1).max())
        for value in inputs
        if (mask := task.encode([value]).get("attention_mask")) is not None
    ]
    return int(np.median(lengths)) if lengths else 1


def count(model: Path, tokens: int) -> Work:
    """Count the products of a graph for one input of so many tokens; raises MissingPackage."""
    try:
        import onnx
        from onnx.reference import ReferenceEvaluator
    except ModuleNotFoundError:
        raise MissingPackage.of("counting a graph's operations: onnx", "build") from None
    loaded = onnx.load(str(model))
    feeds = {item.name: _ones(item, tokens) for item in loaded.graph.input}
    # ONNX's shape inference gives up at the reshapes of an exported attention; to run it once gives
    # every shape.
    values = ReferenceEvaluator(loaded).run(None, feeds, intermediate=True)
    shapes = {name: list(value.shape) for name, value in values.items() if hasattr(value, "shape")}
    weights = {item.name: list(item.dims) for item in loaded.graph.initializer}
    shapes |= weights
    nodes = loaded.graph.node
    flops = sum(
        _flops(node.op_type, [shapes.get(name, []) for name in (*node.input, *node.output)])
        for node in nodes
    )
    total = sum(math.prod(dims) for dims in weights.values())
    lookups = {node.input[0] for node in nodes if node.op_type == "Gather"} & set(weights)
    looked_up = sum(math.prod(weights[name]) for name in lookups)
    return Work(tokens=tokens, flops=flops, looked_up=looked_up / max(total, 1))


def _ones(item: Any, tokens: int) -> np.ndarray:  # noqa: ANN401 - onnx has no types
    """Make a tensor of ones for one input of the graph.

    It is a batch of one, and has so many tokens where the axis is open.
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = item.type.tensor_type
    shape = [
        axis.dim_value or (1 if place == 0 else tokens) for place, axis in enumerate(kind.shape.dim)
    ]
    return np.ones(shape, tensor_dtype_to_np_dtype(kind.elem_type))


def _flops(kind: str, shapes: list[list[int]]) -> float:
    """Count the operations of one node, from the shapes of its inputs and then its output."""
    if kind not in PRODUCTS or len(shapes) < 3 or not shapes[0] or not shapes[-1]:
        return 0.0
    depth = math.prod(shapes[1][1:]) if kind == "Conv" else shapes[0][-1]
    return 2.0 * math.prod(shapes[-1]) * depth
