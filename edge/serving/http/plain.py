"""Plain JSON calls: POST /v1/predict for every task, and /v1/classify."""

from typing import Any

import msgspec
import tornado.web

from edgekit.edge.serving.http.handler import Handler
from edgekit.edge.serving.http.limits import decode


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body: one input or several, and how many labels to show of each: one, if not said."""

    inputs: Any
    top_k: int | None = None


PREDICT = msgspec.json.Decoder(PredictRequest)
HINT = f", with no keys but {' and '.join(PredictRequest.__struct_fields__)}"


class Predict(Handler):
    """`{"inputs": "text"}` or `{"inputs": ["text", ...], "top_k": 3}`.

    A key, or a query of the path, that would have no effect is refused.
    """

    async def post(self) -> None:
        if self.request.query:
            raise tornado.web.HTTPError(400, reason="this call takes no query behind its path")
        request = decode(self.request.body, PREDICT, HINT)
        if request.top_k is not None and request.top_k < 1:
            raise tornado.web.HTTPError(400, reason="top_k must be at least 1")
        is_list = isinstance(request.inputs, list) and not self.is_one_input(request.inputs)
        worker, found = await self.predictions(request.inputs if is_list else [request.inputs])
        if request.top_k is not None and not found[0].ranks:
            raise tornado.web.HTTPError(400, reason="top_k: this model does not rank labels")
        labels = worker.hello.labels if worker.hello else []
        shown = [item.as_json(labels, request.top_k or 1) for item in found]
        self.reply(shown if is_list else shown[0])
