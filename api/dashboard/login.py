"""Serve /login and /logout. A login exchanges an API key for a session, which ends with the key."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from http import HTTPStatus

from falcon.asgi import Request, Response

from api import dashboard
from api.access.acts import by
from api.access.auth import Authentication
from api.access.exceeded import Exceeded
from api.access.limits import Limits
from api.dashboard import cookies, visitor
from api.dashboard.page import done, show
from api.http.problems import Problem
from api.store import NotificationStore
from db import acts, audit, sessions
from db.audit import By, recorded
from db.keys import Live
from runtime import logs

log = logs.get("dashboard")

LONGEST_KEY = 200  # characters
REFUSALS_NOTED = 30  # refused logins per minute that a process records; LOGIN_RATE limits one address
# One text for all reasons, so that nobody learns which keys exist.
_WRONG = "This key does not work: it is unknown, revoked or expired."
_BLIND = "This key lacks the scope “read”, which every page needs."


class Login:
    """GET: the login form. POST: start a session of SESSION_TTL seconds with a key."""

    def __init__(self, store: NotificationStore, authentication: Authentication, limits: Limits) -> None:
        self._store, self._authentication, self._limits = store, authentication, limits
        self._minute = self._refusals = 0

    async def on_get(self, req: Request, resp: Response) -> None:
        if req.context.visitor is not None:
            resp.status, resp.location = HTTPStatus.SEE_OTHER.value, "/"
            return
        show(req, resp, "login.html", next=_next(req.params.get("next")), error=None)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        await self._count_attempt(req)
        to = _next(req.context.form.get("next"))
        given = req.context.form.get("key", "").strip()
        live = await self._authentication.live(given) if len(given) <= LONGEST_KEY else None
        if live is None or "read" not in live.scopes:
            log.warning("login.refused", key=live and live.id)
            await self._note_refusal(req, live)
            resp.status = HTTPStatus.FORBIDDEN.value
            show(req, resp, "login.html", next=to, error=_BLIND if live else _WRONG)
            return
        seconds = self._store.settings.access.session_ttl
        secret = visitor.begin(req, resp, seconds)
        req.context.caller = self._authentication.caller(live)
        doing = recorded(by(req), partial(acts.session_began, live.client.id, live.id), sessions.begin)
        await self._store.read(doing, visitor.digest_of(secret), live.id, seconds)
        log.info("login.accepted")
        done(req, resp, to, "logged-in")

    async def _note_refusal(self, req: Request, live: Live | None) -> None:
        """Record the refusal in the audit log, up to REFUSALS_NOTED per minute, so that it cannot be flooded."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._refusals = minute, 0
        self._refusals += 1
        if self._refusals <= REFUSALS_NOTED:
            stranger = By("anybody", None, None, req.remote_addr, logs.bound("request_id"))
            await self._store.read(audit.record, stranger, acts.session_refused(live))

    async def _count_attempt(self, req: Request) -> None:
        # Redis gets a hash, because it stores no personal data.
        whom = hashlib.sha256(req.remote_addr.encode()).hexdigest()[:32]
        try:
            await self._limits.count_login(whom)
        except Exceeded as exceeded:
            detail = "Too many attempts to log in came from your address. Wait a minute and try again."
            headers = {"Retry-After": exceeded.headers["Retry-After"]}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=headers) from None


class Logout:
    """POST: end the session."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response) -> None:
        digest = req.context.visitor.digest
        if digest is not None:
            await self._store.read(recorded(by(req), acts.session_ended, sessions.end), digest)
            log.info("logout")
        cookies.drop(req, resp, visitor.SESSION)
        cookies.drop(req, resp, visitor.CHOSEN)
        done(req, resp, "/login", "logged-out")


def _next(given: object) -> str:
    """Return the path to go to after the login: a page of the dashboard, by default the overview."""
    if isinstance(given, str) and given.startswith("/") and not given.startswith(("//", "/\\")):
        path = given.partition("?")[0]
        if dashboard.serves(path) and dashboard.section(path) not in (*dashboard.OPEN, "logout") and path.isprintable():
            return path
    return "/"
