"""A reader of server-sent events, as WHATWG HTML 9.2.6 says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode


class Event(NamedTuple):
    """`type` is "message" where none is given; `id` is the last one that was seen."""

    type: str
    data: Any
    id: str


class Reader:
    """One stream, for a `with` block; `last` is what to come back with, `rest` are the events that are to come."""

    def __init__(self, port: int, path: str, key: object = "", last: str = "", **query: object) -> None:
        self.last, self.retry = last, 0
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._path = f"{path}?{urlencode(query)}" if query else path
        self._headers = {"Accept": "text/event-stream"}
        self._headers |= {"Authorization": f"Bearer {key}"} if key else {}
        self._headers |= {"Last-Event-ID": last} if last else {}
        self._answer: HTTPResponse | None = None

    @property
    def answer(self) -> HTTPResponse:
        """The head of the answer."""
        if self._answer is None:
            self._connection.request("GET", self._path, headers=self._headers)
            self._answer = self._connection.getresponse()
        return self._answer

    def take_little(self) -> None:
        """Leave room for little: what is not read stays with the server."""
        self._connection.sock = socket.create_connection(("127.0.0.1", self._connection.port), timeout=60)
        self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)

    def events(self) -> Iterator[Event]:
        """All that come; ends with the stream, and where the connection breaks."""
        type, data, id = "message", "", self.last
        for line in self._lines():
            field, _, value = line.partition(": ")
            if not line:
                self.last = id
                if data:
                    yield Event(type, json.loads(data), self.last)
                type, data = "message", ""
            elif field == "event":
                type = value
            elif field == "data":
                data += value
            elif field == "id":
                id = value
            elif field == "retry":
                self.retry = int(value)

    def next(self) -> Event:
        """The next event; fails where the stream has ended."""
        event = next(self.rest, None)
        assert event is not None, "the stream has ended"
        return event

    def beat(self) -> str:
        """Wait for a heartbeat, with no event before it; returns what to come back with then."""
        for line in self._lines():
            assert not line.startswith("data"), line
            if line.startswith("id: "):
                self.last = line.removeprefix("id: ")
            if not line:
                break
        return self.last

    def changes(self, count: int) -> list[tuple[int, str]]:
        """So many changes: of which notification, and what it was."""
        return [(e.data["notification"]["id"], e.data["event"]) for e in (self.next() for _ in range(count))]

    def __enter__(self) -> Self:
        assert self.answer.status == 200, self.answer.read()
        self.rest = self.events()
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        self.answer.close()
        self._connection.close()

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                line = self.answer.readline()
            except (HTTPException, ConnectionError):
                return
            if not line:
                return
            yield line.decode().removesuffix("\n")
