"""The front: HTTP on loopback. It checks shapes, hands inputs on unread, and never touches a model.

KServe v2 (https://kserve.github.io/website, "Open Inference Protocol") and a plain POST
/v1/predict. Error bodies come from a closed list of messages and never repeat the request.
"""

import asyncio
import json
import signal
import time
from typing import Any

import msgspec
import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from edgekit import __version__
from edgekit.edge.appliance.store import Store
from edgekit.edge.serving.supervisor import Supervisor
from edgekit.edge.tasks.predictions import Prediction, as_tensors
from edgekit.edge.worker.handle import Unavailable, Worker
from edgekit.edge.worker.messages import Hello, Problem
from edgekit.errors import InputError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SLOW_SECONDS = 10  # a client that takes longer to send its request is cut off
MAX_BODY = 32 << 20
# in one body, since each becomes an object: a comma, or a bracket, may stand for one
MAX_VALUES = 1 << 20
PARTING_SECONDS = 10.0  # that requests in flight have when the server is told to stop
MAX_INPUTS = 1024  # in one request


class Tensor(msgspec.Struct, frozen=True):
    """An input tensor of KServe v2, its data flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, frozen=True):
    """POST /v2/models/{name}/infer."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[dict[str, Any]] = []


class PredictRequest(msgspec.Struct, frozen=True):
    """POST /v1/predict: one input or several."""

    inputs: Any
    top_k: int = 1


class ModelError(tornado.web.HTTPError):
    """What the worker says of an input; a feature's name in it may be in any script, which a status
    line can't hold.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code)
        self.text = text


class Handler(tornado.web.RequestHandler):
    """What all answers share."""

    supervisor: Supervisor

    def initialize(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor

    def set_default_headers(self) -> None:
        self.set_header("Server", "edgekit")
        self.set_header("Content-Type", "application/json")

    def prepare(self) -> None:
        """A page in a browser must not reach us through a name that it controls (DNS rebinding)."""
        host = self.request.host.rsplit(":", 1)[0].strip("[]")
        if host not in LOOPBACK:
            raise tornado.web.HTTPError(403, reason="Host must be this machine")

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ANN401
        error = kwargs.get("exc_info", (None, None))[1]
        self.finish(
            json.dumps({"error": error.text if isinstance(error, ModelError) else self._reason})
        )

    def log_exception(self, *args: Any) -> None:  # noqa: ANN401
        """Tornado would print the request."""

    def check_name(self, name: str) -> None:
        if name != self.supervisor.model:
            raise tornado.web.HTTPError(404, reason="no such model")

    def hello(self) -> Hello:
        worker = self.supervisor.worker
        if worker is None or worker.hello is None:
            raise tornado.web.HTTPError(503, reason="the model is not ready")
        return worker.hello

    def body(self, kind: Any) -> Any:  # noqa: ANN401
        body = self.request.body
        if sum(body.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
            raise tornado.web.HTTPError(413, reason=f"a request takes at most {MAX_VALUES} values")
        try:
            return msgspec.json.decode(self.request.body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise tornado.web.HTTPError(
                400, reason="the body is not the JSON object that this call takes"
            ) from None

    async def predictions(self, inputs: list[Any]) -> tuple[Worker, list[Prediction]]:
        """The predictions, and the worker whose they are: a deploy may switch workers meanwhile."""
        if not 0 < len(inputs) <= MAX_INPUTS:
            raise tornado.web.HTTPError(400, reason=f"a request takes 1 to {MAX_INPUTS} inputs")
        try:
            worker, answer = await self.supervisor.ask(inputs, len(self.request.body))
        except Unavailable:
            self.set_header("Retry-After", "1")
            raise tornado.web.HTTPError(503, reason="no worker can answer now; try again") from None
        if isinstance(answer, Problem):
            raise ModelError(422 if answer.is_input else 500, answer.message)
        return worker, answer.predictions


class Live(Handler):
    """GET /v2/health/live."""

    def get(self) -> None:
        self.finish({"live": True})


class Ready(Handler):
    """GET /v2/health/ready and /v2/models/{name}/ready."""

    def get(self, name: str | None = None) -> None:
        if name is not None:
            self.check_name(name)
        self.hello()
        self.finish({"name": self.supervisor.model, "ready": True})


class ServerMetadata(Handler):
    """GET /v2."""

    def get(self) -> None:
        self.finish({"name": "edgekit", "version": __version__, "extensions": []})


class ModelMetadata(Handler):
    """GET /v2/models/{name}."""

    def get(self, name: str) -> None:
        self.check_name(name)
        hello, worker = self.hello(), self.supervisor.worker
        datatype, shape = hello.tensor
        self.finish(
            {
                "name": name,
                "versions": [worker.slot.version] if worker else [],
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
        request: InferRequest = self.body(InferRequest)
        if len(request.inputs) != 1:
            raise tornado.web.HTTPError(400, reason="the model takes one input tensor")
        worker, predictions = await self.predictions(rows_of(request.inputs[0]))
        tensors = as_tensors(predictions)
        asked = {output.get("name") for output in request.outputs}
        self.finish(
            {
                "model_name": name,
                "model_version": worker.slot.version,
                **({"id": request.id} if request.id is not None else {}),
                "outputs": [tensor for tensor in tensors if not asked or tensor["name"] in asked],
            }
        )


class Predict(Handler):
    """POST /v1/predict, also /v1/classify: `{"inputs": "text"}` or `{"inputs": ["text", ...],
    "top_k": 3}`.
    """

    async def post(self) -> None:
        request: PredictRequest = self.body(PredictRequest)
        is_list = isinstance(request.inputs, list) and not _is_number_row(request.inputs)
        if request.top_k < 1:
            raise tornado.web.HTTPError(400, reason="top_k must be at least 1")
        worker, found = await self.predictions(request.inputs if is_list else [request.inputs])
        shown = [item.shown(worker.labels, request.top_k) for item in found]
        self.finish(json.dumps(shown if is_list else shown[0]))


def _is_number_row(value: list[Any]) -> bool:
    """One tabular input is itself an array."""
    return bool(value) and all(isinstance(item, int | float) for item in value)


def rows_of(tensor: Tensor) -> list[Any]:
    """A tensor's data as one input for each row of its first axis; raises HTTPError 400."""
    if not tensor.shape or any(side < 0 or side > MAX_BODY for side in tensor.shape):
        raise tornado.web.HTTPError(400, reason="the tensor's shape is not valid")
    rows, width = tensor.shape[0], 1
    for side in tensor.shape[1:]:
        width *= side
    data = tensor.data
    if len(tensor.shape) == 1 or (len(data) == rows and data and isinstance(data[0], list)):
        found = data
    elif width and len(data) == rows * width:
        found = [data[start : start + width] for start in range(0, len(data), width)]
    else:
        found = []
    if len(tensor.shape) == 2 and width == 1 and tensor.datatype == "BYTES":
        found = [item[0] if isinstance(item, list) and item else item for item in found]
    if len(found) != rows:
        raise tornado.web.HTTPError(400, reason="the tensor's shape and data do not agree")
    return found


def make_app(supervisor: Supervisor) -> tornado.web.Application:
    """The routes."""
    name = r"([a-z0-9._-]+)(?:/versions/[^/]+)?"
    routes: list[tuple[str, type[Handler]]] = [
        (r"/v2/?", ServerMetadata),
        (r"/v2/health/live", Live),
        (r"/v2/health/ready", Ready),
        (rf"/v2/models/{name}/ready", Ready),
        (rf"/v2/models/{name}/infer", Infer),
        (rf"/v2/models/{name}/?", ModelMetadata),
        (r"/v1/(?:predict|classify)", Predict),
    ]
    return tornado.web.Application(
        [(path, handler, {"supervisor": supervisor}) for path, handler in routes],
        log_function=lambda handler: None,
        default_handler_class=NotFound,
        default_handler_args={"supervisor": supervisor},
    )


class NotFound(Handler):
    """Every other path."""

    def prepare(self) -> None:
        raise tornado.web.HTTPError(404, reason="no such path; see GET /v2")


async def serve(store: Store, model: str, host: str, port: int, started: Any) -> None:  # noqa: ANN401 - a callback
    """Serve until SIGTERM or SIGINT; `started(port)` is called once the model answers. Port 0 takes
    a free one.
    """
    if host not in LOOPBACK:
        raise InputError(
            f"--host {host}: without TLS and a token the server listens on this machine only"
            " (127.0.0.1)"
        )
    supervisor = Supervisor(store, model)
    sockets = bind_sockets(port, host)
    server = HTTPServer(
        make_app(supervisor),
        idle_connection_timeout=SLOW_SECONDS,
        body_timeout=SLOW_SECONDS,
        max_body_size=MAX_BODY,
        max_header_size=16 << 10,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        if await _is_started(supervisor, stopping):
            server.add_sockets(sockets)
            started(sockets[0].getsockname()[1])
            await stopping.wait()
            server.stop()
            until = time.monotonic() + PARTING_SECONDS
            while supervisor.waiting and time.monotonic() < until:
                await asyncio.sleep(0.05)
            await server.close_all_connections()
    finally:
        await supervisor.stop()
        for item in sockets:
            item.close()


async def _is_started(supervisor: Supervisor, stopping: asyncio.Event) -> bool:
    """Start the first worker, which may take minutes; False if we are told to stop before it
    answers.
    """
    start, stop = asyncio.create_task(supervisor.start()), asyncio.create_task(stopping.wait())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not start.done():
        start.cancel()
        await asyncio.wait({start})
        return False
    await start
    return True
