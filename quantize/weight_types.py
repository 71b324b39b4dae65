"""What a model's file really holds: the types of its weights, read back from it.

A recipe asks for a type, and the tool may fall back: llama.cpp stores rows whose width is no
multiple of 256 in another type than Q4_K, and NNCF leaves layers that it can't quantize as they
are.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

OPENVINO_NAMES = {"f": "fp", "i": "int", "u": "uint", "bf": "bf"}


def contents(folder: Path) -> dict[str, int]:
    """Return the bytes of weights by their type, largest first, as the format names types.

    It is empty if there is no model file.
    """
    readers = {"model.gguf": tensor_types, "model.onnx": _onnx, "model.xml": _openvino}
    for name, read in readers.items():
        if (folder / name).is_file():
            return read(folder / name)
    return {}


def _sorted(sizes: Counter[str]) -> dict[str, int]:
    return {
        name: size
        for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        if size
    }


def tensor_types(path: Path) -> dict[str, int]:
    """Read the types of a GGUF file: q4_k, f32 and so on."""
    import gguf

    sizes: Counter[str] = Counter()
    for tensor in gguf.GGUFReader(path).tensors:
        sizes[tensor.tensor_type.name.lower()] += int(tensor.n_bytes)
    return _sorted(sizes)


def _onnx(path: Path) -> dict[str, int]:
    """Read the types of an ONNX file.

    MatMulNBits packs its weights into uint8: they count as the bits that they have.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    sizes: Counter[str] = Counter()
    for graph in _graphs(model.graph):
        packed = {
            node.input[
                1
            ]: f"int{next((item.i for item in node.attribute if item.name == 'bits'), 4)}"
            for node in graph.node
            if node.op_type == "MatMulNBits"
        }
        for name, tensor in _weights(graph):
            kind = packed.get(name) or onnx.TensorProto.DataType.Name(tensor.data_type).lower()
            kind = kind.replace("float16", "fp16").replace("bfp16", "bf16").replace("float8", "fp8")
            sizes["fp32" if kind == "float" else kind] += _onnx_bytes(tensor)
    return _sorted(sizes)


def _graphs(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - a GraphProto
    """Yield the graph and all that its nodes hold."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _graphs(inner)


def _weights(graph: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a GraphProto
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            yield from ((node.output[0], item.t) for item in node.attribute if item.name == "value")


def _onnx_bytes(tensor: Any) -> int:  # noqa: ANN401 - a TensorProto
    """Return the bytes of a tensor by its shape, as the data may lie in another file."""
    import onnx

    count = math.prod(int(side) for side in tensor.dims)
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    if name in ("INT4", "UINT4", "FLOAT4E2M1"):
        return (count + 1) // 2
    if name == "STRING":
        return sum(len(text) for text in tensor.string_data)
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _openvino(path: Path) -> dict[str, int]:
    """Read the types of an OpenVINO IR's constants; two that share their bytes count once."""
    sizes: Counter[str] = Counter()
    seen: set[str] = set()
    for layer in ET.parse(path).iter("layer"):  # noqa: S314 - a file that a recipe has just made
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None and data.get("offset", "") not in seen:
            seen.add(data.get("offset", ""))
            kind = data.get("element_type", "")
            letters = kind.rstrip("0123456789")
            sizes[OPENVINO_NAMES.get(letters, letters) + kind[len(letters) :]] += int(
                data.get("size", 0)
            )
    return _sorted(sizes)
