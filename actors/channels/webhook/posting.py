"""POST requests to places that clients chose: callback endpoints and destinations, with limits for each of them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Hashable
from typing import TypeVar

from actors import spans
from actors.channels import Begin, Deferred, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.webhook.endpoint_fairness import EndpointLimits
from actors.channels.webhook.http_client import Answer, HttpClient, HttpError, Request
from actors.channels.webhook.name_resolver import Lookup, look_up
from actors.channels.webhook.url_guard import NotPublic, UrlRejected
from db.coalesce import Closed, Coalescer, Full
from db.database import Unavailable
from runtime import tracing
from settings import Settings

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

AT_A_TIME = 50  # concurrent requests of one process
# One text for both cases: two would tell a client which names exist in the network of the workers.
_NOWHERE = "the host of the URL has no address in the DNS, or one that is not public"


class Posting:
    """HTTP client with turns at each place. It belongs to one event loop.

    `what`: the word for a place, in messages.
    """

    def __init__(
        self, what: str, settings: Settings, look_up: Lookup = look_up, context: ssl.SSLContext | None = None
    ) -> None:
        self._http = HttpClient(settings.callbacks.networks, settings.callbacks.timeout, look_up, context)
        self._limits = EndpointLimits(settings, what=what)

    @contextlib.asynccontextmanager
    async def turn(self, place: Hashable) -> AsyncIterator[None]:
        """Wait for a turn at a place. What fails within the block counts for its pauses.

        Raises:
            Undelivered: there was no turn, or what a request in the block has ended with.
        """
        async with self._limits.turn(place):
            try:
                yield
            except (HttpError, UrlRejected) as error:
                self._limits.record(place, timed_out=isinstance(error, HttpError) and error.timed_out)
                raise _undelivered(error) from None
            except Undelivered as error:
                self._limits.record(place, timed_out=False)
                if isinstance(error, Throttled) and error.retry_after:
                    self._limits.hold(place, error.retry_after)
                raise
            self._limits.record(place, timed_out=False)

    async def post(self, request: Request, begin: Begin, *, traced: bool = True) -> Answer:
        """POST within a turn. `traced`: tell the other side the trace.

        Raises:
            HttpError, UrlRejected: there is no answer; `turn` makes an Undelivered of it.
        """
        with spans.post(request.url) as span:
            if traced:
                request = request._replace(headers={**request.headers, **tracing.headers(span)})
            answer = await self._http.post(request, begin)
            spans.responded(span, answer.status)
            return answer

    def hold(self, place: Hashable, seconds: float) -> None:
        """Send nothing more to a place for this long."""
        self._limits.hold(place, seconds)

    def is_free(self, place: Hashable) -> bool:
        """Return False if a place has its maximum of requests: a slow one must not delay the others."""
        return self._limits.is_free(place)

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._http.close()


async def looked_up(what: str, look_ups: Coalescer[K, V | None], place: K) -> V:
    """Return a place as it is currently configured. `what`: the word for it, in messages.

    Raises:
        Deferred: it could not be looked up.
        Refused: it was deleted.
    """
    try:
        found = await look_ups.ask(place)
    except (Unavailable, Full, Closed) as error:
        raise Deferred(f"the {what} could not be looked up: {error}", phase="prepare") from None
    if found is None:
        raise Refused(f"the {what} was deleted", phase="prepare")
    return found


def _undelivered(error: HttpError | UrlRejected) -> Undelivered:
    if isinstance(error, UrlRejected):
        return Deferred(_NOWHERE if isinstance(error, NotPublic) else f"the URL {error}", phase="resolve")
    if error.phase == "resolve" and not error.timed_out:
        return Deferred(_NOWHERE, phase="resolve")
    # The server may have processed a request that it did not answer. A retry has the same webhook-id, which tells it.
    kind = Uncertain if error.may_have_arrived else Deferred
    return kind(printable(error.text) or "the answer cannot be read", phase=error.phase)
