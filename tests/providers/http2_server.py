"""An HTTP/2 server with scripted faults for the next requests. It speaks TLS, or HTTP/2 at once without it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import orjson
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from tests.providers.server import Received, Reply


class Exchange:
    """One request over one stream. `take` answers nothing and returns what the provider would answer."""

    def __init__(self, link: Link, id: int, received: Received) -> None:
        self.link, self.id, self.received = link, id, received

    def take(self) -> Reply:
        self.link.server.requests.append(self.received)
        return self.link.server.serve(self.received)

    def answer(self, reply: Reply) -> None:
        self.link.answer(self.id, reply)


Fault = Callable[[Exchange], None]


class Http2Server:
    """Until the end of the block it answers with `serve`, or does what is first in `faults`."""

    def __init__(
        self,
        serve: Callable[[Received], Reply],
        tls: ssl.SSLContext | None = None,
        initial: Mapping[SettingCodes, int] | None = None,
    ) -> None:
        self.serve, self.tls, self.initial = serve, tls, initial or {}
        if tls:
            tls.set_alpn_protocols(["h2", "http/1.1"])
        self.faults: deque[Fault] = deque()
        self.requests: list[Received] = []
        self.links: list[Link] = []
        self.most_streams = 0  # that were open at the same time
        self.budget = 1 << 30  # bytes that may be sent over the next connection, which ends then
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.links)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        self.refuse()
        for link in self.links:
            link.drop()
        for thread in self._threads:
            thread.join(10)

    def refuse(self) -> None:
        """Accept no connection any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="http2", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._start(self._talk, client)

    def _talk(self, client: socket.socket) -> None:
        client.settimeout(20)
        with suppress(OSError, ProtocolError), client:  # The other side may leave at any time.
            if self.tls:
                client = self.tls.wrap_socket(client, server_side=True)
            with client:
                link = Link(self, client)
                self.links.append(link)
                link.run()


class Link:
    """One connection. While it is `silent`, it drops what comes."""

    def __init__(self, server: Http2Server, client: socket.socket) -> None:
        self.server, self.client, self.silent = server, client, False
        self.sent, self._budget = 0, server.budget
        self._last = 1 << 31  # stream that is processed
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._lock = threading.RLock()
        self._heads: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._left: dict[int, bytes] = {}

    def run(self) -> None:
        with self._lock:
            self.h2.local_settings = Settings(client=False, initial_values=dict(self.server.initial))
            self.h2.initiate_connection()
            self.flush()
        while data := self.client.recv(65_536):
            if self.silent:
                continue
            with self._lock:
                for event in self.h2.receive_data(data):
                    self._react(event)
                self.flush()

    def answer(self, id: int, reply: Reply) -> None:
        content = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        with self._lock:
            head = {":status": str(reply.status), **{name.lower(): value for name, value in reply.headers.items()}}
            self.h2.send_headers(id, list(head.items()), end_stream=not content)
            if content:
                self._left[id] = content
                self._pour()
            self.flush()

    def reset(self, id: int, code: ErrorCodes) -> None:
        with self._lock:
            self.h2.reset_stream(id, code)
            self.flush()

    def goaway(self, last: int, data: bytes = b"") -> None:
        """Say that no stream above `last` is processed. The others are answered nevertheless, unlike by h2 itself."""
        with self._lock:
            self._last = last
            self.flush()
            self.raw(GoAwayFrame(0, last_stream_id=last, error_code=0, additional_data=data).serialize())

    def settings(self, **values: int) -> None:
        with self._lock:
            self.h2.update_settings({SettingCodes[name]: value for name, value in values.items()})
            self.flush()

    def raw(self, octets: bytes) -> None:
        with self._lock:
            left = self._budget - self.sent
            self.sent += len(octets)  # before the client can know of them
            self.client.sendall(octets[:left])
            if self.sent > self._budget:
                self.drop()

    def drop(self) -> None:
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.raw(data)

    def _react(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived(stream_id=int() as id):
                self._heads[id] = ({str(k): str(v) for k, v in event.headers or ()}, bytearray())
                self.server.most_streams = max(self.server.most_streams, self.h2.open_inbound_streams)
            case events.DataReceived(stream_id=int() as id):
                self._heads[id][1].extend(event.data or b"")
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, id)
            case events.StreamEnded(stream_id=int() as id):
                self._serve(id)
            case events.WindowUpdated():
                self._pour()

    def _serve(self, id: int) -> None:
        headers, body = self._heads.pop(id)
        pseudo = {name: headers.pop(name) for name in (":method", ":path", ":authority", ":scheme")}
        received = Received(pseudo[":method"], pseudo[":path"], {**headers, "host": pseudo[":authority"]}, bytes(body))
        exchange = Exchange(self, id, received)
        if id > self._last:
            return
        if self.server.faults:
            self.server.faults.popleft()(exchange)
        else:
            exchange.answer(exchange.take())

    def _pour(self) -> None:
        for id in list(self._left):
            while room := max(0, min(self.h2.local_flow_control_window(id), self.h2.max_outbound_frame_size)):
                piece, self._left[id] = self._left[id][:room], self._left[id][room:]
                self.h2.send_data(id, piece, end_stream=not self._left[id])
                if not self._left[id]:
                    del self._left[id]
                    break


def answering(status: int, body: object = b"", **headers: str) -> Fault:
    """Take nothing, and answer this."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.answer(Reply(status, body, named))


def hang_after(exchange: Exchange) -> None:
    """Take it, and never answer."""
    exchange.take()


def hang_before(_exchange: Exchange) -> None:
    """Take nothing, and never answer."""


def drop_after(exchange: Exchange) -> None:
    """Take it, and close the connection."""
    exchange.take()
    exchange.link.drop()


def reset(code: ErrorCodes) -> Fault:
    """Take nothing, and reset the stream."""
    return lambda exchange: exchange.link.reset(exchange.id, code)


def head_only(status: bytes, id: bytes = b"x") -> Fault:
    """Take it, answer this head without the end of the stream, and close the connection."""

    def fault(exchange: Exchange) -> None:
        exchange.take()
        exchange.link.h2.send_headers(exchange.id, [(b":status", status), (b"apns-id", id)])
        exchange.link.flush()
        exchange.link.drop()

    return fault


def goaway_before(exchange: Exchange) -> None:
    """Take nothing, and say that no stream from this one on is processed."""
    exchange.link.goaway(max(0, exchange.id - 2), b'{"reason":"Shutdown"}')


def goaway_then_answer(exchange: Exchange) -> None:
    """Say that this stream is the last one, and answer it afterwards."""
    exchange.link.goaway(exchange.id)
    exchange.answer(exchange.take())


def goaway_then_drop(exchange: Exchange) -> None:
    """Take it, say that this stream is the last one, and close the connection without an answer."""
    exchange.take()
    exchange.link.goaway(exchange.id)
    exchange.link.drop()


def answer_twice(exchange: Exchange) -> None:
    """Take it, answer, and send the end of the stream a second time, which is against the protocol."""
    exchange.answer(exchange.take())
    exchange.link.raw(b"\0\0\0\0\1" + exchange.id.to_bytes(4))
