"""Requests for the reader of webhooks, and what they read as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from actors.reports.event import Event
from actors.reports.providers import Received, Webhooks
from settings.report_source import ReportSource

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
URL = "https://notify.example.com/api/reports/main?notify_token=tok-1"
TOKEN = "tok-1"


async def no_fetch(url: str) -> bytes:
    raise AssertionError(f"{url} was fetched")


class Documented(NamedTuple):
    """Event that a provider documents. `becomes`: as docs/reports-providers.md writes it."""

    name: str
    becomes: str
    payload: Any


# Makes the request for a payload, signed with the first or (1) the second of two keys, at a moment.
Sign = Callable[[Any, int, datetime], Received]


@dataclass(frozen=True)
class Provider:
    """Webhooks of a provider in the tests.

    `source` knows both keys with which `sign` signs; `stranger` knows another one. `headers`: those without which a
    request proves nothing. `oldest`: None if its requests have no timestamp that is checked. `webhooks`: makes a
    reader.
    """

    kind: str
    source: ReportSource
    stranger: ReportSource
    documented: Sequence[Documented]
    sign: Sign
    headers: Sequence[str]
    covers_body: bool
    oldest: timedelta | None
    webhooks: Callable[[], Webhooks] = lambda: Webhooks(no_fetch)

    def read(self, received: Received, source: ReportSource | None = None) -> list[Event]:
        return read(received, source or self.source, self.webhooks())


def request(body: bytes, headers: dict[str, str] | None = None, url: str = URL) -> Received:
    return Received(headers or {}, body, url, NOW)


def with_secret(received: Received, secret: str) -> Received:
    """Return a request to an address with a secret in its query."""
    return received._replace(url=f"{received.url}&{urlencode({'secret': secret}, errors='surrogatepass')}")


def json(payload: Any) -> bytes:
    return orjson.dumps(payload)


def read(received: Received, source: ReportSource, webhooks: Webhooks | None = None) -> list[Event]:
    """Return the events in a request. There is no event loop: nothing in the reader waits, but for what it fetches."""
    reading = (webhooks or Webhooks(no_fetch)).receive(received, source)
    try:
        reading.send(None)
    except StopIteration as done:
        return list(done.value)
    raise AssertionError("the reader waits for something")


def shown(events: Sequence[Event]) -> str:
    """Return what events become, as the document writes it."""
    words = dict.fromkeys(
        f"{event.kind}: {event.bounce_class}" if event.bounce_class else event.kind for event in events
    )
    return ", ".join(words) or "nothing"
