"""The front: HTTP on loopback. It hands inputs on unread, and never touches a model."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from edgekit.edge.appliance.store import Store
from edgekit.edge.serving.http import kserve, plain
from edgekit.edge.serving.http.handler import Handler, NotFound
from edgekit.edge.serving.http.limits import LOOPBACK, MAX_BODY, MAX_HEADER, SLOW_SECONDS
from edgekit.edge.serving.supervisor import Supervisor
from edgekit.errors import InputError

PARTING_SECONDS = 10.0  # that requests in flight have when the server is told to stop
NAME = r"([a-z0-9._-]+)(?:/versions/[^/]+)?"
ROUTES: list[tuple[str, type[Handler]]] = [
    (r"/v2/?", kserve.ServerMetadata),
    (r"/v2/health/live", kserve.Live),
    (r"/v2/health/ready", kserve.Ready),
    (rf"/v2/models/{NAME}/ready", kserve.Ready),
    (rf"/v2/models/{NAME}/infer", kserve.Infer),
    (rf"/v2/models/{NAME}/?", kserve.ModelMetadata),
    (r"/v1/(?:predict|classify)", plain.Predict),
]


def make_app(supervisor: Supervisor) -> tornado.web.Application:
    """Return the application with its routes."""
    return tornado.web.Application(
        [(path, handler, {"supervisor": supervisor}) for path, handler in ROUTES],
        log_function=lambda handler: None,
        default_handler_class=NotFound,
        default_handler_args={"supervisor": supervisor},
    )


async def serve(
    store: Store, model: str, host: str, port: int, started: Callable[[int], None]
) -> None:
    """Serve until SIGTERM or SIGINT.

    port: 0 takes a free one. started: called with the port once the model answers.
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
        max_header_size=MAX_HEADER,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        if await _start_unless_stopped(supervisor, stopping):
            server.add_sockets(sockets)
            started(sockets[0].getsockname()[1])
            await stopping.wait()
            server.stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(supervisor.idle.wait(), PARTING_SECONDS)
            await server.close_all_connections()
    finally:
        await supervisor.stop()
        for item in sockets:
            item.close()


async def _start_unless_stopped(supervisor: Supervisor, stopping: asyncio.Event) -> bool:
    """Start the first worker, which may take minutes; return False if we are told to stop first."""
    start, stop = asyncio.create_task(supervisor.start()), asyncio.create_task(stopping.wait())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not start.done():
        start.cancel()
        await asyncio.wait({start})
        return False
    await start
    return True
