"""What all answers over HTTP share. No error body holds a part of the request."""

import asyncio
from typing import Any

import msgspec
import tornado.web

from edgekit.edge.serving.http.limits import check_count, check_host
from edgekit.edge.serving.supervisor import Supervisor
from edgekit.edge.tasks.predictions import Prediction
from edgekit.edge.worker.handle import Worker
from edgekit.edge.worker.messages import Hello, Unanswered
from edgekit.errors import Unavailable

CLIENTS_FAULT = (
    "InputError",
)  # kinds of problems that are answered with 422, and all others with 500
encode = msgspec.json.Encoder().encode


class ModelError(tornado.web.HTTPError):
    """What the worker says of an input, which stands in the body and not in the status line.

    A feature's name in it may be in a script that no status line holds.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code)
        self.text = text


class Handler(tornado.web.RequestHandler):
    """Checks the host, writes JSON, and asks the model."""

    supervisor: Supervisor
    _asking: "asyncio.Task[Any] | None" = None

    def initialize(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor

    def set_default_headers(self) -> None:
        self.set_header("Server", "edgekit")
        self.set_header("Content-Type", "application/json")

    def prepare(self) -> None:
        """Refuse a request that is meant for another host."""
        check_host(self.request.host)

    def on_connection_close(self) -> None:
        """Give up what was asked for a client that has gone away."""
        if self._asking is not None:
            self._asking.cancel()

    def reply(self, value: object) -> None:
        """End the request with a JSON body."""
        self.finish(encode(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ANN401
        error = kwargs.get("exc_info", (None, None))[1]
        self.reply({"error": error.text if isinstance(error, ModelError) else self._reason})

    def log_exception(self, *args: Any) -> None:  # noqa: ANN401
        """Say nothing: tornado would print the request."""

    def check_name(self, name: str) -> None:
        """Refuse another model's name; raises HTTPError 404."""
        if name != self.supervisor.model:
            raise tornado.web.HTTPError(404, reason="no such model")

    def worker(self) -> tuple[Worker, Hello]:
        """Return the worker that answers, with its first word; raises HTTPError 503."""
        worker = self.supervisor.worker
        if worker is None or worker.hello is None:
            raise tornado.web.HTTPError(503, reason="the model is not ready")
        return worker, worker.hello

    def is_one_input(self, value: object) -> bool:
        """Return whether a list is one input of the model, such as a row of numbers."""
        worker = self.supervisor.worker
        hello = worker.hello if worker else None
        return hello is not None and hello.is_one_input(value)

    async def predictions(self, inputs: list[Any]) -> tuple[Worker, list[Prediction]]:
        """Return the predictions, and the worker whose they are: a deploy may switch workers."""
        check_count(len(inputs))
        asked = self.supervisor.ask(inputs, len(self.request.body), self._client())
        self._asking = asyncio.create_task(asked)
        try:
            worker, answer = await self._asking
        except asyncio.CancelledError:
            if self._asking.cancelled():  # the client has gone away
                raise tornado.web.Finish from None
            raise
        except OverflowError:
            raise tornado.web.HTTPError(
                400, reason="a whole number has at most 64 bits; write a larger one as 1e30"
            ) from None
        except Unavailable:
            self.set_header("Retry-After", "1")
            raise tornado.web.HTTPError(503, reason="no worker can answer now; try again") from None
        finally:
            self._asking = None
        if isinstance(answer, Unanswered):
            problem = answer.problem
            code = 422 if problem.kind in CLIENTS_FAULT else 500
            raise ModelError(code, problem.message)
        return worker, answer.predictions

    def _client(self) -> str:
        """Return a name for who asks. Clients take turns: one connection is one client."""
        return str(id(self.request.connection))


class NotFound(Handler):
    """Every path that is none of ours."""

    def prepare(self) -> None:
        raise tornado.web.HTTPError(404, reason="no such path; see GET /v2")
