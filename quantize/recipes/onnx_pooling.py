"""Pooling as ONNX nodes, appended to an encoder's graph.

So every engine answers with vectors. What is computed is `edgekit.quantize.pooling.pooled`.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.quantize.pooling import TINY, Mode, Pooling

OUTPUT = "sentence_embedding"
AXES_ARE_INPUTS = 18  # the opset from which ReduceMax takes its axes as an input


def add_pooling(model: onnx.ModelProto, pooling: Pooling) -> None:
    """Replace the output of an encoder by that of its pooling.

    last_hidden_state [batch, tokens, width] becomes sentence_embedding [batch, width of all modes].
    """
    states = model.graph.output[0]
    width = states.type.tensor_type.shape.dim[2].dim_value
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    nodes = _Nodes(states.name, pooling, opset)
    vectors = [nodes.vector(mode, f"pooling.{n}") for n, mode in enumerate(pooling.modes)]
    nodes.add("Concat", vectors, OUTPUT, axis=-1)
    model.graph.node.extend(nodes.made)
    model.graph.initializer.extend(nodes.constants)
    del model.graph.output[:]
    size = width * len(pooling.modes) if width else "dimensions"
    model.graph.output.append(
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch_size", size])
    )
    onnx.checker.check_model(model)


class _Nodes:
    """The nodes of a pooling and their constants, beginning with the mask of what is pooled."""

    def __init__(self, states: str, pooling: Pooling, opset: int) -> None:
        self.made: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._states = states
        self._opset = opset
        self._tokens = self.constant("pooling.tokens", np.array([1], np.int64))
        self._last = self.constant("pooling.last", np.array([-1], np.int64))
        mask = self.add("Cast", ["attention_mask"], "pooling.mask", to=TensorProto.FLOAT)
        if pooling.prompt_tokens or "weightedmean" in pooling.modes:
            axis = self.constant("pooling.axis", np.array(1, np.int64))
            self._numbers = self.add("CumSum", [mask, axis], "pooling.numbers")
        if pooling.prompt_tokens:
            prompt = self.constant("pooling.prompt", np.array(pooling.prompt_tokens, np.float32))
            beyond = self.add("Greater", [self._numbers, prompt], "pooling.beyond")
            text = self.add("Cast", [beyond], "pooling.text", to=TensorProto.FLOAT)
            mask = self.add("Mul", [mask, text], "pooling.text_mask")
        self._mask = mask
        self._weights = self.add("Unsqueeze", [mask, self._last], "pooling.weights")

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node with one output of its own name, which is returned."""
        self.made.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant, and return its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def vector(self, mode: Mode, name: str) -> str:
        """Add what makes one vector [batch, width] in this mode."""
        if mode in ("cls", "lasttoken"):
            return self._one_token(name, is_last=mode == "lasttoken")
        if mode == "max":
            return self._largest(name)
        return self._mean(mode, name)

    def _one_token(self, name: str, *, is_last: bool) -> str:
        """Add the first or the last token that is pooled.

        It is not the first or last of all where padding or a prompt stands there.
        """
        mask, states = self._mask, self._states
        place = self.add(
            "ArgMax", [mask], f"{name}.place", axis=1, keepdims=1, select_last_index=int(is_last)
        )
        if is_last:
            states = self.add("Mul", [states, self._weights], f"{name}.kept")
        return self.add("GatherND", [states, place], name, batch_dims=1)

    def _largest(self, name: str) -> str:
        """Add the largest number in each dimension."""
        lowest = self.constant(f"{name}.lowest", np.array(np.finfo(np.float32).min, np.float32))
        zero = self.constant(f"{name}.zero", np.array(0, np.float32))
        is_kept = self.add("Greater", [self._weights, zero], f"{name}.is_kept")
        kept = self.add("Where", [is_kept, self._states, lowest], f"{name}.kept")
        if self._opset < AXES_ARE_INPUTS:
            return self.add("ReduceMax", [kept], name, axes=[1], keepdims=0)
        return self.add("ReduceMax", [kept, self._tokens], name, keepdims=0)

    def _mean(self, mode: Mode, name: str) -> str:
        """Add the mean over the tokens that are pooled, of the kind that `mode` says."""
        weights = self._weights
        if mode == "weightedmean":
            numbers = self.add("Mul", [self._numbers, self._mask], f"{name}.numbers")
            weights = self.add("Unsqueeze", [numbers, self._last], f"{name}.weights")
        kept = self.add("Mul", [self._states, weights], f"{name}.kept")
        total = self.add("ReduceSum", [kept, self._tokens], f"{name}.sum", keepdims=0)
        count = self.add("ReduceSum", [weights, self._tokens], f"{name}.count", keepdims=0)
        least = self.constant(f"{name}.least", np.array(TINY, np.float32))
        divisor = self.add("Max", [count, least], f"{name}.divisor")
        if mode == "mean_sqrt_len_tokens":
            divisor = self.add("Sqrt", [divisor], f"{name}.root")
        return self.add("Div", [total, divisor], name)
