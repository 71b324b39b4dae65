"""Plain JSON calls: POST /v1/predict for every task, and /v1/classify."""

from typing import Any

import msgspec
import tornado.web

from edgekit.edge.serving.http.handler import Handler
from edgekit.edge.serving.http.limits import decode


class PredictRequest(msgspec.Struct, frozen=True):
    """The body: one input or several, and how many labels to show of each."""

    inputs: Any
    top_k: int = 1


PREDICT = msgspec.json.Decoder(PredictRequest)


class Predict(Handler):
    """`{"inputs": "text"}` or `{"inputs": ["text", ...], "top_k": 3}`."""

    async def post(self) -> None:
        request = decode(self.request.body, PREDICT)
        if request.top_k < 1:
            raise tornado.web.HTTPError(400, reason="top_k must be at least 1")
        is_list = isinstance(request.inputs, list) and not self.is_one_input(request.inputs)
        worker, found = await self.predictions(request.inputs if is_list else [request.inputs])
        labels = worker.hello.labels if worker.hello else []
        shown = [item.shown(labels, request.top_k) for item in found]
        self.reply(shown if is_list else shown[0])
