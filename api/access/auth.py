"""Authentication and authorization of requests: Authorization: Bearer <key> (RFC 6750)."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from falcon.asgi import Request, Response

from actors.channels.contract import Rights
from api import dashboard
from api.access.keyring import Keyring
from api.http.asgi import RESERVATION
from api.http.problems import Problem
from api.store import NotificationStore, reading_for
from db import keys
from db.clients import DEFAULT, Client
from db.coalesce import Full
from db.database import Unavailable
from db.keys import SCOPES, Live
from db.secrets import KeyText
from runtime import logs
from runtime.metrics.tokens import is_token

log = logs.get("api")

# Paths that need no key. All others do, also those that do not exist.
PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json"})
# Each path below these contains its own proof that it may be used.
PUBLIC_BELOW: tuple[str, ...] = ("/u/", "/api/reports/")
METRICS = "/metrics"
REALM = 'Bearer realm="notification-system"'


class Caller(NamedTuple):
    """Client and key that a request comes from. A limit of None means the limit of the settings.

    With AUTH=off every request comes from the client `default`, with every scope and the limits of the settings.
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
    phone_region: str | None = None

    @property
    def rights(self) -> Rights:
        """The senders and the region that its notifications may use."""
        return Rights(self.senders, self.phone_region)

    @classmethod
    def of(cls, key: Live) -> Caller:
        return cls(key.client.id, key.client.name, key.scopes, key.sandbox, key.id, *_allowed(key.client))

    def on_behalf_of(self, client: Client) -> Caller:
        """Return a caller with the same key and scopes for another client. It does not check that this is allowed."""
        return Caller(client.id, client.name, self.scopes, self.sandbox, self.key_id, *_allowed(client))


def _allowed(client: Client) -> tuple[int | None, int | None, int | None, tuple[str, ...], str | None]:
    """Return the limits of a client, its senders and its region, in the order of the fields of Caller."""
    limits = (client.rate_limit, client.daily_quota, client.pending_limit)
    return (*limits, tuple(client.senders), client.phone_region)


ANYBODY = Caller()
# Caller of /metrics with METRICS_TOKEN. It needs no database, and gives access to nothing else.
SCRAPER = Caller(scopes=frozenset())


def identify(req: Request, caller: Caller) -> None:
    """Set the caller of a request: from now on its reads and its memory are charged to this client."""
    req.context.caller = caller
    req.scope[RESERVATION].client = caller.client_id
    reading_for.set(caller.client_id)


def require(req: Request, scope: str) -> Caller:
    """Return the caller if it has this scope; otherwise raise a Problem that names the scope."""
    caller: Caller = req.context.caller
    if scope not in caller.scopes:
        raise forbidden(f"This key does not have the scope {scope!r}, which this operation needs.", scope)
    return caller


def with_live_key(caller: Caller) -> Caller:
    """Return the caller if its key is live; otherwise raise a Problem.

    Operations that affect live mail, or who may send it, need a live key.
    """
    if caller.sandbox:
        raise forbidden("A sandbox key cannot do this, because it would affect live notifications: use a live key.")
    return caller


def forbidden(detail: str, scope: str = "") -> Problem:
    """Return the Problem 403; a `scope` that would help is named in WWW-Authenticate too (RFC 6750, 3.1)."""
    needed = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'} if scope else None
    return Problem(HTTPStatus.FORBIDDEN, detail, headers=needed)


class Authentication:
    """Set `req.context.caller` to the Caller of a request, or refuse the request.

    Raises:
        Unavailable, Full: the key is not cached in this process and cannot be looked up now.
    """

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._off = store.settings.http.auth == "off"
        self._token = store.settings.telemetry.metrics_token
        self._keyring = Keyring(store.settings)
        self._warned = False
        self._noted: dict[int, float] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def process_request(self, req: Request, _resp: Response) -> None:
        reading_for.set(None)
        if self._off:
            self._warn_once(req)
            identify(req, ANYBODY)
            return
        if req.path in PUBLIC or req.path.startswith(PUBLIC_BELOW):
            return
        if dashboard.serves(req.path):  # The dashboard authenticates by session.
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

    def _warn_once(self, req: Request) -> None:
        """Warn of a client that sends a key although none is checked: with AUTH=required it may be refused."""
        if not self._warned and req.get_header("Authorization"):
            self._warned = True
            log.warning("auth.key_ignored", detail="AUTH is off, so the Authorization of requests is not checked")

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        self._keyring.close(self._store.settings.process.shutdown_grace)

    async def live(self, token: str) -> Live | None:
        """Return the key with this text if it may be used, or None; raise Unavailable or Full."""
        key = KeyText.parse(token)
        return await self._keyring.live(key) if key else None

    def caller(self, live: Live) -> Caller:
        """Return the caller with this key. Its use is recorded, and the log lines of the request name it."""
        if live.unnoted:
            self._note_use(live.id)
        logs.bind(client=live.client.id, key=live.id)
        return Caller.of(live)

    def _note_use(self, id: int) -> None:
        """Record the use of a key in the background; the answer does not wait for this."""
        now = time.monotonic()
        if now - self._noted.get(id, -math.inf) < keys.USE_NOTED_EVERY / 2:
            return
        self._noted[id] = now
        task = asyncio.get_running_loop().create_task(self._used(id))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _used(self, id: int) -> None:
        with suppress(Unavailable, Full):  # The next use records it.
            await self._store.read(keys.used, id)


def _stranger() -> Problem:
    # All causes have the same text, so that nobody can find out which keys exist or have existed.
    detail = "The key is missing, unknown, revoked or expired: send Authorization: Bearer with a valid key."
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": REALM})
