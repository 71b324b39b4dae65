"""What an ONNX graph says without being run: its last step, its tables of embeddings, its types."""

from collections.abc import Iterator

import onnx
from onnx import TensorProto

# Nodes that hand on what they get, in another shape or type.
PASSING = (
    "Cast",
    "DequantizeLinear",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
POST_TRANSFORMS = {b"LOGISTIC": "Sigmoid", b"SOFTMAX": "Softmax", b"SOFTMAX_ZERO": "Softmax"}
FLOATS = {TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}
# The inputs of onnxruntime's own node that are its ids and their tables.
FUSED = {"EmbedLayerNormalization": ((0, 2), (1, 4))}


def last_step(graph: onnx.GraphProto, output: str) -> str:
    """Return the operator that makes an output, Softmax and Sigmoid also of scikit-learn's nodes.

    "" where the output is an input or a constant.
    """
    makers = {name: node for node in graph.node for name in node.output}
    while (node := makers.get(output)) and node.op_type in PASSING:
        output = node.input[0]
    if node is None:
        return ""
    transforms = [item.s for item in node.attribute if item.name == "post_transform"]
    step = str(node.op_type)
    return POST_TRANSFORMS.get(transforms[0], step) if transforms else step


def table_rows(graph: onnx.GraphProto, ids: str) -> int | None:
    """Return how many rows the table has that an input of ids is looked up in; None if unknown."""
    names, sizes = {ids}, dict(_constants(graph))
    for node in graph.node:  # in an order in which each comes after what it needs
        for place, table in _lookups(node):
            if node.input[place] in names and table in sizes:
                return sizes[table]
        if node.op_type in PASSING and node.input[0] in names:
            names.add(node.output[0])
        elif node.op_type in PASSING and node.input[0] in sizes:
            sizes[node.output[0]] = sizes[node.input[0]]
    return None


def _lookups(node: onnx.NodeProto) -> Iterator[tuple[int, str]]:
    """Yield the place of each input that holds ids, and the name of the table beside it."""
    if node.op_type in ("Gather", "GatherBlockQuantized"):
        yield 1, node.input[0]
    for place, table in FUSED.get(node.op_type, ()):
        if table < len(node.input):
            yield place, node.input[table]


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of rows of every constant that has rows."""
    for tensor in graph.initializer:
        if tensor.dims:
            yield tensor.name, tensor.dims[0]
    for node in graph.node:
        for item in node.attribute:
            if node.op_type == "Constant" and item.name == "value" and item.t.dims:
                yield node.output[0], item.t.dims[0]


def float_type(graph: onnx.GraphProto, name: str) -> str:
    """Return the type of an input of numbers, as NumPy calls it."""
    found: dict[str, int] = {item.name: item.type.tensor_type.elem_type for item in graph.input}
    return FLOATS.get(found.get(name, TensorProto.FLOAT), "float32")
