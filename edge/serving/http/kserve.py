"""KServe v2 over REST (https://kserve.github.io/website, "Open Inference Protocol")."""

from math import prod
from typing import Any

import msgspec
import tornado.web

from edgekit import __version__
from edgekit.edge.serving.http.handler import Handler
from edgekit.edge.serving.http.limits import MAX_BODY, decode
from edgekit.edge.tasks.predictions import as_tensors


class Tensor(msgspec.Struct, frozen=True):
    """An input tensor, its data flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class OutputAsked(msgspec.Struct, frozen=True):
    """An output tensor that the client wants."""

    name: str


class InferRequest(msgspec.Struct, frozen=True):
    """The body of POST /v2/models/{name}/infer."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[OutputAsked] = []


INFER = msgspec.json.Decoder(InferRequest)


class Live(Handler):
    """GET /v2/health/live."""

    def get(self) -> None:
        self.reply({"live": True})


class Ready(Handler):
    """GET /v2/health/ready and /v2/models/{name}/ready."""

    def get(self, name: str | None = None) -> None:
        if name is not None:
            self.check_name(name)
        self.worker()
        self.reply({"name": self.supervisor.model, "ready": True})


class ServerMetadata(Handler):
    """GET /v2."""

    def get(self) -> None:
        self.reply({"name": "edgekit", "version": __version__, "extensions": []})


class ModelMetadata(Handler):
    """GET /v2/models/{name}."""

    def get(self, name: str) -> None:
        self.check_name(name)
        worker, hello = self.worker()
        datatype, shape = hello.tensor
        self.reply(
            {
                "name": name,
                "versions": [worker.slot.version],
                "platform": f"edgekit_{hello.engine}",
                "inputs": [{"name": "inputs", "datatype": datatype, "shape": shape}],
                "outputs": hello.outputs,
                "parameters": {
                    "task": hello.task,
                    "labels": hello.labels,
                    "variant": hello.variant,
                },
            }
        )


class Infer(Handler):
    """POST /v2/models/{name}/infer."""

    async def post(self, name: str) -> None:
        self.check_name(name)
        request = decode(self.request.body, INFER)
        if len(request.inputs) != 1:
            raise tornado.web.HTTPError(400, reason="the model takes one input tensor")
        worker, predictions = await self.predictions(rows_of(request.inputs[0]))
        tensors = as_tensors(predictions)
        asked = {output.name for output in request.outputs}
        self.reply(
            {
                "model_name": name,
                "model_version": worker.slot.version,
                **({"id": request.id} if request.id is not None else {}),
                "outputs": [tensor for tensor in tensors if not asked or tensor["name"] in asked],
            }
        )


def rows_of(tensor: Tensor) -> list[Any]:
    """Return a tensor's data as one input for each row of its first axis; raises HTTPError 400."""
    shape, data = tensor.shape, tensor.data
    if not shape or any(side < 0 or side > MAX_BODY for side in shape):
        raise tornado.web.HTTPError(400, reason="the tensor's shape is not valid")
    found = _rows(data, shape[0], prod(shape[1:]), is_flat=len(shape) == 1)
    if tensor.datatype == "BYTES" and len(shape) == 2 and shape[1] == 1:
        found = [item[0] if isinstance(item, list) and item else item for item in found]
    if len(found) != shape[0]:
        raise tornado.web.HTTPError(400, reason="the tensor's shape and data do not agree")
    return found


def _rows(data: list[Any], rows: int, width: int, *, is_flat: bool) -> list[Any]:
    """Return the rows of flat or nested data; none where the size is not the shape's."""
    is_nested = len(data) == rows and bool(data) and isinstance(data[0], list)
    if is_flat or is_nested:
        return data
    if width and len(data) == rows * width:
        return [data[start : start + width] for start in range(0, len(data), width)]
    return []
