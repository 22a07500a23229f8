"""gunicorn's asgi worker, with what it lacks: an end to waiting for clients that say nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

from gunicorn.asgi import protocol
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.workers import gasgi

import logs
import settings
from api.asgi import CUT, WHOLE
from api.parsing import QuickParser

CUT_GRACE = 5.0  # seconds

# Seconds that a connection without a request has, at a stop, to bring the one that may be under way.
LINGER = 1.0


class Connection(ASGIProtocol):  # type: ignore[misc]
    """Closed when the head of its first request is not whole within HEAD_TIMEOUT.

    Between two requests, and until the head of the next is whole, gunicorn's own keep-alive timer runs.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._heard = False
        self.worker.connections.add(self)
        within = settings.load().head_timeout
        self._keepalive_handle = self.worker.loop.call_later(within, self._keepalive_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.worker.connections.discard(self)

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> Any:
        # gunicorn has a task of its own for each, lest one that goes on after its answer holds up the next. None does.
        return await self._handle_http_request(request, sockname, peername)

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> Any:
        scope = super()._build_http_scope(request, sockname, peername)
        self._heard = True
        # Nearly every body comes with its head, and then needs no time limit.
        scope[WHOLE] = self._body_receiver._complete
        scope[CUT] = partial(self._cut, request.version >= (1, 1))
        return scope

    def _cut(self, chunked: bool, last: bytes) -> None:
        """End an answer whose client takes nothing: if it does not take this either, within CUT_GRACE, hang up."""
        if self._closed:
            return
        self._send_body(last, chunked, True)
        self._close_transport()
        self.worker.loop.call_later(CUT_GRACE, self.transport.abort)

    def close_if_idle(self) -> None:
        """Close unless a request is being served: the timer runs only while none is.

        Who has just connected has a request on the way, and unlike one who comes again does not expect a close.
        """
        if self._keepalive_handle is None:
            return
        if self._heard:
            self._keepalive_timeout()
        else:
            self._keepalive_handle.cancel()
            self._keepalive_handle = self.worker.loop.call_later(LINGER, self._keepalive_timeout)


class Logger(GunicornLogger):  # type: ignore[misc]
    """gunicorn's own lines in the form of ours, from its first one on."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logs.configure(settings.load(), "gunicorn")


class Worker(gasgi.ASGIWorker):  # type: ignore[misc]
    """At a stop it closes connections that idle; by itself gunicorn waits for them the whole grace.

    And it tells the application, so that what waits for something to happen is answered.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: set[Connection] = set()

    async def _shutdown(self) -> None:
        for server in self.servers:
            server.close()
        for stopping in getattr(self.asgi, "on_stop", ()):
            stopping()
        for connection in list(self.connections):
            connection.close_if_idle()
        await super()._shutdown()


# The worker makes its protocol, and that one its parser, by these names.
gasgi.ASGIProtocol = Connection
protocol.PythonProtocol = QuickParser
