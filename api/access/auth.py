"""Who is asking, and what they may do: Authorization: Bearer <key> (RFC 6750)."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from falcon.asgi import Request, Response

from api import dashboard
from api.access.keyring import Keyring
from api.http.asgi import RESERVATION
from api.http.problems import Problem
from api.store import Gateway, reading_for
from db import keys
from db.clients import DEFAULT, Client
from db.coalesce import Full
from db.database import Unavailable
from db.keys import SCOPES, Live
from db.secrets import KeyText
from runtime import logs
from runtime.metrics.tokens import is_token

# What needs no key; all else does, what is not there too.
PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json"})
# Of the paths below these, each proves by itself that it may be used.
PUBLIC_BELOW: tuple[str, ...] = ("/u/",)
METRICS = "/metrics"
REALM = 'Bearer realm="notification-system"'


class Caller(NamedTuple):
    """Whom a request comes from. For a limit that is None that of the settings is in force.

    Where AUTH is off everybody is the client `default`, with every scope, and with the limits of the settings.
    """

    client_id: int = DEFAULT
    client: str = "default"
    scopes: frozenset[str] = frozenset(SCOPES)
    sandbox: bool = False
    key_id: int | None = None
    rate_limit: int | None = None
    daily_quota: int | None = None
    pending_limit: int | None = None
    senders: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: Live) -> Caller:
        client = key.client
        limits = (client.rate_limit, client.daily_quota, client.pending_limit, tuple(client.senders))
        return cls(client.id, client.name, key.scopes, key.sandbox, key.id, *limits)

    def on_behalf_of(self, client: Client) -> Caller:
        """With the same key and scopes, but for another client; whether it may is for others to say."""
        limits = (client.rate_limit, client.daily_quota, client.pending_limit, tuple(client.senders))
        return Caller(client.id, client.name, self.scopes, self.sandbox, self.key_id, *limits)


ANYBODY = Caller()
# Who came to /metrics with METRICS_TOKEN, for which no database is asked; it opens nothing else.
SCRAPER = Caller(scopes=frozenset())


def identify(req: Request, caller: Caller) -> None:
    """Say whom a request comes from: what it reads and holds from now on is charged to its client."""
    req.context.caller = caller
    req.scope[RESERVATION].client = caller.client_id
    reading_for.set(caller.client_id)


def require(req: Request, scope: str) -> Caller:
    """The caller, if it has this scope; raises a Problem that names the scope."""
    caller: Caller = req.context.caller
    if scope not in caller.scopes:
        raise forbidden(f"This key has not the scope {scope!r}, which this needs.", scope)
    return caller


def with_live_key(caller: Caller) -> Caller:
    """The caller, if what it does may concern what goes out, or who may send; raises a Problem for a key for tests."""
    if caller.sandbox:
        raise forbidden("A key for tests must neither stop, start nor change what goes out: use a live key for this.")
    return caller


def forbidden(detail: str, scope: str = "") -> Problem:
    """403. Where a `scope` would help, it is named for programs too (RFC 6750, 3.1)."""
    needed = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'} if scope else None
    return Problem(HTTPStatus.FORBIDDEN, detail, headers=needed)


class Authentication:
    """Puts the Caller into `req.context.caller`, or refuses the request.

    Raises:
        Unavailable, Full: the key is not known here and cannot be looked up now.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._off = gateway.settings.auth == "off"
        self._token = gateway.settings.metrics_token
        self._keyring = Keyring(gateway.settings)
        self._noted: dict[int, float] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def process_request(self, req: Request, _resp: Response) -> None:
        reading_for.set(None)
        if self._off:
            identify(req, ANYBODY)
            return
        if req.path in PUBLIC or req.path.startswith(PUBLIC_BELOW):
            return
        if dashboard.serves(req.path):  # Whoever comes there comes with a session.
            return
        given = req.get_header("Authorization") or ""
        if req.path == METRICS and self._token and is_token(given, self._token):
            req.context.caller = SCRAPER
            return
        scheme, _, token = given.partition(" ")
        live = await self.live(token.strip(" ")) if scheme.lower() == "bearer" else None
        if live is None:
            raise _stranger()
        identify(req, self.caller(live))

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        self._keyring.close(self._gateway.settings.shutdown_grace)

    async def live(self, token: str) -> Live | None:
        """The key that this is the text of, if it may be used; raises Unavailable, Full."""
        key = KeyText.parse(token)
        return await self._keyring.live(key) if key else None

    def caller(self, live: Live) -> Caller:
        """Whoever comes in with this key: that is noted, and stands in the log."""
        if live.unnoted:
            self._note(live.id)
        logs.bind(client=live.client.id, key=live.id)
        return Caller.of(live)

    def _note(self, id: int) -> None:
        """Behind the back of the request: its answer does not wait for this."""
        now = time.monotonic()
        if now - self._noted.get(id, -math.inf) < keys.USE_NOTED_EVERY / 2:
            return
        self._noted[id] = now
        task = asyncio.get_running_loop().create_task(self._used(id))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _used(self, id: int) -> None:
        with suppress(Unavailable, Full):  # The next minute will do.
            await self._gateway.read(keys.used, id)


def _stranger() -> Problem:
    # The same words for all that can be wrong, so that nobody finds out which keys there are, or were.
    detail = "Send Authorization: Bearer and a key that is valid: it is missing, unknown, revoked or expired."
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": REALM})
