"""Parser of server-sent events (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """Event of a stream. `type` is "message" where the stream gives none."""

    type: str
    data: str


class Events:
    """Parser that keeps what a reconnect needs: `last`, the id of the last event, and `retry`, the delay in seconds."""

    def __init__(self, last: str = "", retry: float = 3.0) -> None:
        self.last, self.retry = last, retry

    def read(self, lines: Iterable[str]) -> Iterator[Event]:
        """Yield the complete events. An event that breaks off is dropped, and its id is not kept."""
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
