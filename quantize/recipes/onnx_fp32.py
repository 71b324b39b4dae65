"""onnx-fp32: the checkpoint as an ONNX graph, exported by optimum.

An ONNX source is taken as it is. An embedder's pooling is appended to the graph, so that every
engine answers with vectors.
"""

import shutil
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edgekit.quantize.huggingface import load_model, load_tokenizer
from edgekit.quantize.pooling import read_pooling
from edgekit.quantize.recipes import Ingredients
from edgekit.quantize.sources import source_task


def make(ingredients: Ingredients) -> None:
    """Write model.onnx."""
    source, task = Path(ingredients.source.path), ingredients.source.task
    target = ingredients.out / "model.onnx"
    if ingredients.source.kind == "onnx":
        shutil.copyfile(source / "model.onnx", target)
        return

    from optimum.exporters.onnx import onnx_export_from_model

    with tempfile.TemporaryDirectory(prefix=".", dir=ingredients.out.parent) as folder:
        onnx_export_from_model(
            load_model(source, task),
            Path(folder),
            task=task,
            preprocessors=[load_tokenizer(source, task)],
            do_validation=False,  # the gate does it, on the user's data
        )
        shutil.copyfile(Path(folder) / "model.onnx", target)
    if source_task(task).pools:
        model = onnx.load(target)
        add_pooling(model, read_pooling(source).mode)
        onnx.save(model, target)


def add_pooling(model: onnx.ModelProto, mode: str) -> None:
    """Replace the output of an encoder by that of its pooling.

    last_hidden_state [batch, tokens, dimensions] becomes sentence_embedding [batch, dimensions].
    """
    graph = model.graph
    states = graph.output[0]
    dimensions = states.type.tensor_type.shape.dim[2]
    nodes, constants = _mean(states.name) if mode == "mean" else _cls(states.name)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    del graph.output[:]
    shape = ["batch_size", dimensions.dim_value or dimensions.dim_param or "dimensions"]
    graph.output.append(
        helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, shape)
    )
    onnx.checker.check_model(model)


def _mean(states: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Make the nodes for the mean over the tokens that the mask keeps."""
    constants = [
        helper.make_tensor("pooling.last", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("pooling.tokens", TensorProto.INT64, [1], [1]),
        helper.make_tensor("pooling.least", TensorProto.FLOAT, [], [1e-9]),
    ]
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["pooling.mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["pooling.mask", "pooling.last"], ["pooling.weights"]),
        helper.make_node("Mul", [states, "pooling.weights"], ["pooling.kept"]),
        helper.make_node(
            "ReduceSum", ["pooling.kept", "pooling.tokens"], ["pooling.sum"], keepdims=0
        ),
        helper.make_node(
            "ReduceSum", ["pooling.weights", "pooling.tokens"], ["pooling.count"], keepdims=0
        ),
        helper.make_node("Max", ["pooling.count", "pooling.least"], ["pooling.divisor"]),
        helper.make_node("Div", ["pooling.sum", "pooling.divisor"], ["sentence_embedding"]),
    ]
    return nodes, constants


def _cls(states: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Make the nodes that take the first token that the mask keeps.

    It is not the first of all where padding is on the left.
    """
    nodes = [
        helper.make_node("ArgMax", ["attention_mask"], ["pooling.first"], axis=1, keepdims=1),
        helper.make_node(
            "GatherND", [states, "pooling.first"], ["sentence_embedding"], batch_dims=1
        ),
    ]
    return nodes, []
