"""Probe: what a model's numbers are, by what it answers to made inputs and what its graph holds.

A name says little: "probabilities" may hold logits, and "scores" what Softmax made. What is found
is written into task.json, where the appliance reads it; what contradicts task.json, or may be read
in two ways, is an error that names the key.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.engines import load_engine
from edgekit.edge.tasks import Task, Tensors, load_task
from edgekit.edge.tasks.classification import SINGLE
from edgekit.edge.tasks.text import TokenizerTask
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.nouns import Setting
from edgekit.quantize.huggingface import first_line
from edgekit.quantize.scores import find_scores
from edgekit.quantize.sources import source_task

SAMPLES, SEED = 16, 7
AT_ONCE = 2  # samples of like length
ZIPMAP = (
    "a list of dictionaries (ZipMap); export the model with to_onnx(model, X, options={'zipmap':"
    " False}), and name the output of the probabilities in task.json"
)


def probe(folder: Path, out: Path, engine: str) -> None:
    """Check the model in `folder` with the task.json in `out`, and complete that one.

    Raises InputError.
    """
    graph = _checked_graph(folder / "model.onnx") if engine == "onnxruntime" else None
    task = load_task(out)
    kind = source_task(task.name).kind
    if graph is not None and kind == "table":
        task = _note(out, _types(graph, task))
    if kind == "text":
        task = _note(out, _tables(folder, graph))
        check_tokens(task, folder / "tokenizer.json")
    if graph is not None:
        _check_inputs(graph, task, folder / "model.onnx")
    values, task = _answered(folder, out, task, engine)
    if task.labels:
        step = _last_step(graph, task.output)
        _note(out, {"scores": find_scores(values, step, task, folder / "task.json")})


def _note(out: Path, found: dict[str, object]) -> Task[Any]:
    """Write what was found into task.json, beside what the user says; return the task."""
    path = out / "task.json"
    config = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    config |= {name: value for name, value in found.items() if value is not None}
    write_durably(path, msgspec.json.encode(config, order="sorted"))
    return load_task(out)


def _checked_graph(path: Path) -> Any:  # noqa: ANN401 - of onnx, which is imported late
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001 - protobuf and the checker have errors of their own
        raise InputError(f"{path}: not a sound ONNX model: {first_line(error)}") from None
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise InputError(
                f"{path}: {tensor.name} lies in another file; save the model with its weights"
                " inside"
            )
    return model.graph


def _check_inputs(graph: Any, task: Task[Any], path: Path) -> None:  # noqa: ANN401
    inputs = {item.name for item in graph.input} - {item.name for item in graph.initializer}
    given = set(_feeds(task, 0, AT_ONCE))
    if not inputs <= given:
        raise InputError(
            f"{path}: its input {min(inputs - given)!r} is none of those that task.json makes:"
            f" {sorted(given)}"
        )


def _types(graph: Any, task: Task[Any]) -> dict[str, object]:  # noqa: ANN401
    """Return the type of the numbers that a graph takes, for task.json."""
    from edgekit.quantize.graph_tables import float_type

    [name] = _feeds(task, 0, AT_ONCE)
    return {"input_type": float_type(graph, name)}


def _tables(folder: Path, graph: Any | None) -> dict[str, object]:  # noqa: ANN401
    """Return how many rows the tables of embeddings have, for task.json."""
    if graph is None:
        return _gguf_tables(folder / "model.gguf")
    from edgekit.quantize.graph_tables import table_rows

    return {
        "token_rows": table_rows(graph, "input_ids"),
        "type_rows": table_rows(graph, "token_type_ids"),
    }


def _gguf_tables(path: Path) -> dict[str, object]:
    try:
        from gguf import GGUFReader

        rows = {item.name: int(item.shape[-1]) for item in GGUFReader(path).tensors}
    except Exception:  # noqa: BLE001 - not installed, or not for it: the engine says what is wrong
        return {}
    return {
        "token_rows": rows.get("token_embd.weight"),
        "type_rows": rows.get("token_types.weight"),
    }


def check_tokens(task: Task[Any], path: Path) -> None:
    """Refuse a tokenizer whose own tokens, as each text gets them, have no embedding.

    path: what an error names. Raises InputError. Tokens that only some texts have are a doubt of
    the task (see Task.doubts), and an error of those texts.
    """
    if isinstance(task, TokenizerTask) and not task.own_tokens_have_embeddings():
        raise InputError(
            f"{path}: its special tokens, which each text gets, or its padding token have ids"
            " beyond the model's embedding; the tokenizer belongs to another model, or the model"
            " lacks resize_token_embeddings"
        )


def _feeds(task: Task[Any], start: int, stop: int) -> Tensors:
    return task.encode([task.parse(value) for value in task.made_inputs(SAMPLES, SEED)[start:stop]])


def _answered(
    folder: Path, out: Path, task: Task[Any], engine: str
) -> tuple[np.ndarray, Task[Any]]:
    """Run made inputs; return the values of the task's output, float32 [rows, ...], and the task.

    Where task.json names no output, and the graph has none of the usual name, it is the only one of
    the right shape.
    """
    session = load_engine(engine).load(folder, Setting(options={"graph_optimization": "off"}))
    calls = [
        session.run(_feeds(task, start, start + AT_ONCE)) for start in range(0, SAMPLES, AT_ONCE)
    ]
    path = folder / "task.json"
    width = len(task.labels) or getattr(task, "dimensions", 0)
    fitting = [key for key, value in calls[0].items() if _fits(value, width)]
    if task.output not in calls[0] and len(fitting) == 1 and not _says(path, "output"):
        task = _note(out, {"output": fitting[0]})
    value = _float_output(calls[0], task.output, folder)
    _check_shape(value, task, path, width)
    rows = [call[task.output] for call in calls]
    if value.ndim == 3:  # one for each token
        rows = [np.reshape(item, (-1, width)) for item in rows]
    return np.concatenate(rows).astype(np.float32), task


def _says(path: Path, key: str) -> bool:
    """Tell whether the user's own task.json has a key."""
    return key in msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


def _float_output(outputs: Tensors, name: str, folder: Path) -> np.ndarray:
    """Return the output of scores or vectors; raises InputError that lists what there is."""
    value = outputs.get(name)
    lists = [key for key, item in outputs.items() if isinstance(item, list)]
    if lists and (value is None or name in lists):
        raise InputError(f"{folder / 'model.onnx'}: its output {lists[0]!r} is {ZIPMAP}")
    if value is None:
        said = f"the model has no {name!r}"
    elif value.dtype.kind != "f":
        said = f"{name!r} holds no scores"
    else:
        return value
    raise InputError(f"{folder / 'task.json'}: output: {said}; it has: {_listed(outputs)}")


def _fits(value: object, width: int) -> bool:
    """Tell whether an output has one row of floating-point numbers for each of AT_ONCE inputs."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind == "f"
        and value.ndim > 1
        and (value.shape[0], value.shape[-1]) == (AT_ONCE, width)
    )


def _listed(outputs: Tensors) -> str:
    """Name the outputs with their types and shapes, for an error."""
    return ", ".join(
        f"{name} ({value.dtype.name} {list(value.shape[1:])} for each input)"
        if isinstance(value, np.ndarray)
        else f"{name} (a list)"
        for name, value in outputs.items()
    )


def _check_shape(value: np.ndarray, task: Task[Any], path: Path, width: int) -> None:
    """Compare the shape of an output with what task.json names; raises InputError."""
    is_exclusive, stated = getattr(task, "is_exclusive", False), getattr(task, "scores", "")
    if is_exclusive and width == 1:
        raise InputError(
            f"{path}: labels: names one, and one output is a score, not a class: name both labels"
            ' and say "scores": "probability" or "logit", which is that of the second one (edgekit'
            " has no task for other scores yet, such as a regression's or a reranker's)"
        )
    is_single = is_exclusive and width == 2 and value.size == AT_ONCE
    if is_single and stated not in SINGLE:
        raise InputError(
            f'{path}: scores: the model answers one number for two labels; say "probability" or'
            f' "logit", whichever it is, of the second label, {task.labels[1]!r}'
        )
    tokens = value.shape[1:-1] if source_task(task.name).by_word else ()
    if is_single or (value.shape == (AT_ONCE, *tokens, width) and stated not in SINGLE):
        return
    what = f"{width} labels" if task.labels else f"{width} dimensions"
    if stated in SINGLE:
        what = f'one number for two labels ("scores": "{stated}")'
    raise InputError(
        f"{path}: names {what}, and the model answers {list(value.shape[1:])} for one input"
    )


def _last_step(graph: Any | None, output: str) -> str:  # noqa: ANN401
    if graph is None:
        return ""
    from edgekit.quantize.graph_tables import last_step

    return last_step(graph, output)
