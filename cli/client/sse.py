"""Server-sent events, read as WHATWG HTML 9.2.6 says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event; `type` is "message" where none is given."""

    type: str
    data: str


class Events:
    """The events in the lines of a stream. `last` is what to come back with, `retry` when, in seconds."""

    def __init__(self, last: str = "", retry: float = 3.0) -> None:
        self.last, self.retry = last, retry

    def read(self, lines: Iterable[str]) -> Iterator[Event]:
        """Those that come whole; of one that breaks off neither the data nor the id counts."""
        type, id = "", self.last
        data: list[str] = []
        for line in lines:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.last = id
                if data:
                    yield Event(type or "message", "\n".join(data))
                type, data = "", []
            elif field == "event":
                type = value
            elif field == "data":
                data.append(value)
            elif field == "id" and "\0" not in value:
                id = value
            elif field == "retry" and value.isascii() and value.isdecimal():
                self.retry = int(value) / 1000
