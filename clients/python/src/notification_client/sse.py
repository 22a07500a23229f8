"""Server-sent events (WHATWG HTML, 9.2.6) as changes of notifications. Reads bytes and sends nothing."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import Any

from notification_client.calls import Call, anything, call, path
from notification_client.errors import UnexpectedAnswer
from notification_client.fields import query
from notification_client.models import Change

RECONNECT = 2.0  # seconds, until the server names its own
SILENCE = 60.0  # seconds without a byte after which a connection is given up; heartbeats come every 15
# Reasons of the event `end` after which there is nothing to come back for.
FINISHED = frozenset({"key", "final", "gone"})


class Following:
    """State of one stream over all its connections: what to ask for, and what was read."""

    def __init__(self, call: Call[Any], resume_from: str | None) -> None:
        self._call, self._last = call, resume_from
        self.reconnect, self.finished = RECONNECT, False
        self.begin()

    @property
    def request(self) -> Call[Any]:
        """The request for the next connection."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._last} if self._last else {})
        return Call("GET", self._call.path, self._call.read, self._call.query, headers=headers, repeatable=True)

    def begin(self) -> None:
        """Forget the rest of a connection that broke."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest, self._type, self._data = "", "", ""
        self._id = self._last

    def changes(self, piece: bytes) -> Iterator[Change]:
        """Yield the changes that these bytes complete."""
        *lines, self._rest = (self._rest + self._decoder.decode(piece)).split("\n")
        for line in lines:
            if change := self._line(line.removesuffix("\r")):
                yield change

    def _line(self, line: str) -> Change | None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "":
                return None if line else self._dispatch()
            case "event":
                self._type = value
            case "data":
                self._data += value
            case "id":
                self._id = value
            case "retry" if value.isascii() and value.isdecimal():
                self.reconnect = int(value) / 1000
        return None

    def _dispatch(self) -> Change | None:
        kind, data = self._type, self._data
        self._type, self._data, self._last = "", "", self._id
        if not data:
            return None
        document = _object(data)
        if kind == "end":
            self.finished = document.get("reason") in FINISHED
            return Change(event="end", detail=document, json=document) if self.finished else None
        if kind:
            return Change(event=kind, resume_from=self._last, detail=document, json=document)
        return Change.read({**document, "resumeFrom": self._last})


def _object(data: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise UnexpectedAnswer("the stream sent an event that is not JSON") from error
    if not isinstance(document, dict):
        raise UnexpectedAnswer("the stream sent an event that is not an object")
    return document


def all_changes(status: str | None, tag: str | Sequence[str] | None, sandbox: bool | None) -> Call[Any]:
    """Return the call of /api/stream."""
    filters = {"status": status, "tag": tag, "sandbox": sandbox}
    return call("GET", path("stream"), anything, query=query(filters))


def events_of(id: int) -> Call[Any]:
    """Return the call of a notification's events."""
    return call("GET", path("notifications", id, "events"), anything)
