"""KServe v2 over REST (https://kserve.github.io/website, "Open Inference Protocol")."""

import re
from math import prod
from typing import Any

import msgspec
import tornado.web

from edgekit import __version__
from edgekit.edge.serving.http.handler import Handler
from edgekit.edge.serving.http.limits import MAX_BODY, decode, not_an_object
from edgekit.edge.tasks.predictions import TRUNCATED, as_tensors


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input tensor, its data flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output tensor that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v2/models/{name}/infer."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[Wanted] = []


INFER = msgspec.json.Decoder(InferRequest)
OBJECT = msgspec.json.Decoder(dict[str, Any])
SHOWN = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}\Z")  # names of a request that we may repeat
MOST_SHOWN = 32


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
        request, unknown = read_request(self.request.body)
        if len(request.inputs) != 1:
            raise tornado.web.HTTPError(400, reason="the model takes one input tensor")
        asked = {output.name for output in request.outputs}
        worker, predictions = await self.predictions(rows_of(request.inputs[0]))
        tensors = as_tensors(predictions)
        known = [tensor["name"] for tensor in tensors]
        if not asked <= set(known):
            raise tornado.web.HTTPError(400, reason=f"the model's outputs are {', '.join(known)}")
        queries = [f"query.{key}" for key in self.request.query_arguments]
        ignored = [*unknown, *parameters_of(request), *queries]
        self.reply(
            {
                "model_name": name,
                "model_version": worker.slot.version,
                **({"id": request.id} if request.id is not None else {}),
                "parameters": {
                    TRUNCATED: [row for row, said in enumerate(predictions) if said.truncated],
                    **({"ignored": shown(ignored)} if ignored else {}),
                },
                "outputs": [item for item in tensors if not asked or item["name"] in asked],
            }
        )


def read_request(body: bytes) -> tuple[InferRequest, list[str]]:
    """Return a request, and the keys in it that the protocol does not have; raises HTTPError."""
    try:
        return decode(body, INFER), []
    except tornado.web.HTTPError as error:
        if error.status_code != 400:
            raise
    ignored: list[str] = []
    known = _known(decode(body, OBJECT), InferRequest, "", ignored)
    for key, kind in (("inputs", Tensor), ("outputs", Wanted)):
        if isinstance(tensors := known.get(key), list):
            known[key] = [
                _known(item, kind, f"{key}[{place}].", ignored) if isinstance(item, dict) else item
                for place, item in enumerate(tensors)
            ]
    try:
        return msgspec.convert(known, InferRequest), ignored
    except msgspec.ValidationError:
        raise not_an_object() from None


def _known(
    value: dict[str, Any], kind: type[msgspec.Struct], where: str, ignored: list[str]
) -> dict[str, Any]:
    """Return what of an object a record has fields for; adds the names of the rest to `ignored`."""
    names = kind.__struct_fields__
    ignored += [where + key for key in value if key not in names]
    return {key: item for key, item in value.items() if key in names}


def parameters_of(request: InferRequest) -> list[str]:
    """Return the names of all parameters of a request: none of them has a meaning here."""
    holders = {
        "": request.parameters,
        **{f"inputs[{place}].": item.parameters for place, item in enumerate(request.inputs)},
        **{f"outputs[{place}].": item.parameters for place, item in enumerate(request.outputs)},
    }
    return [f"{where}parameters.{key}" for where, found in holders.items() for key in found]


def shown(names: list[str]) -> list[str]:
    """Return names of a request as an answer may repeat them: a few, and short and plain ones."""
    safe = [name if SHOWN.match(name) else "?" for name in names]
    return safe if len(safe) <= MOST_SHOWN else [*safe[: MOST_SHOWN - 1], "..."]


def rows_of(tensor: Tensor) -> list[Any]:
    """Return a tensor's data as one input for each row of its first axis; raises HTTPError 400."""
    shape, data = tensor.shape, tensor.data
    if not shape or any(side < 0 or side > MAX_BODY for side in shape):
        raise tornado.web.HTTPError(400, reason="the tensor's shape is not valid")
    found = _rows(data, shape[0], prod(shape[1:]), is_flat=len(shape) == 1)
    if tensor.datatype == "BYTES" and len(shape) == 2 and shape[1] == 1:
        found = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in found]
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
