"""Middleware that authenticates requests for pages: by a session cookie, or as anybody while AUTH is off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from falcon.asgi import Request, Response

from api import dashboard
from api.access.auth import ANYBODY, Authentication, identify
from api.access.keyring import WAITING
from api.dashboard import answers, forms, page
from api.dashboard.banner import ObstacleWatch
from api.dashboard.visitor import CHOSEN, SESSION, Visitor, digest_of, may_choose
from api.http.problems import Problem
from api.store import NotificationStore
from db import clients, sessions
from db.coalesce import Coalescer
from db.database import connection
from db.keys import Live
from runtime import logs

log = logs.get("dashboard")

_MOST_ID = 18  # digits


class SessionMiddleware:
    """Set `visitor`, `caller` and, for a POST, `form` in the context of requests for pages, and finish their answers.

    A request without a session is redirected to /login.
    """

    def __init__(self, store: NotificationStore, authentication: Authentication) -> None:
        self._store, self._authentication = store, authentication
        self._settings = store.settings
        self._obstacles = ObstacleWatch(store)
        # Not with the reading threads: requests with invented sessions must not occupy them.
        self._lookups: Coalescer[bytes, Live | None] = Coalescer(
            "sessions", _look_up, most=self._settings.store.accept_batch, waiting=WAITING
        )

    async def process_startup(self, _scope: Any, _event: Any) -> None:
        asyncio.get_running_loop().run_in_executor(None, page.warm)

    async def process_request(self, req: Request, resp: Response) -> None:
        if not dashboard.serves(req.path):
            return
        if self._settings.http.auth == "off":
            self._check_host(req)
        secret = req.cookies.get(SESSION, "")
        public = dashboard.section(req.path) == "static"  # static files need no session
        req.context.visitor = visitor = None if public else await self._visitor(secret)
        if visitor is None and dashboard.section(req.path) not in dashboard.OPEN:
            _send_to_login(req, resp)
            return
        if visitor is not None:
            req.context.visitor = visitor = await self._choosing(req, visitor)
            identify(req, visitor.caller)
            req.context.obstacles = await self._obstacles.now()
        if req.method not in ("GET", "HEAD"):
            req.context.form = await forms.read(req, self._settings, secret)

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        if dashboard.serves(req.path):
            answers.finish(req, resp)
        elif answers.is_browser_without_page(req, resp):
            answers.show_missing_page(req, resp)

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        self._lookups.close(self._settings.process.shutdown_grace)

    async def _visitor(self, secret: str) -> Visitor | None:
        if self._settings.http.auth == "off":
            return Visitor(ANYBODY, secret)
        if not secret:
            return None
        digest = digest_of(secret)
        live = await self._store.within_reason(self._lookups.ask(digest))
        return live and Visitor(self._authentication.caller(live), secret, digest)

    async def _choosing(self, req: Request, visitor: Visitor) -> Visitor:
        """Return the visitor acting for the chosen client, if it is an admin with a live key."""
        chosen = req.cookies.get(CHOSEN, "")
        caller = visitor.caller
        if not (may_choose(caller) and chosen.isascii() and chosen.isdecimal() and len(chosen) <= _MOST_ID):
            return visitor
        client = await self._store.read(clients.one, int(chosen))
        return visitor if client is None else visitor._replace(caller=caller.on_behalf_of(client))

    def _check_host(self, req: Request) -> None:
        """Raise Problem for an unknown host name, which may be an attempt to read pages by DNS rebinding."""
        host = req.host.strip("[]").lower()
        ours = urlsplit(self._settings.public.url).hostname
        if self._settings.http.local and host != ours and not _is_here(host):
            detail = "While AUTH is off, pages are served only at localhost, IP addresses and the host of PUBLIC_URL."
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, detail)


def _look_up(digests: Sequence[bytes]) -> list[Live | None]:
    with connection():
        found = sessions.live(digests)
    return [found.get(digest) for digest in digests]


def _send_to_login(req: Request, resp: Response) -> None:
    if req.path == "/live":  # an event stream, for which a redirect is of no use
        raise Problem(HTTPStatus.UNAUTHORIZED, "You are not logged in.")
    resp.complete = True
    if req.get_header("Sec-Fetch-Site") == "cross-site" and req.method == "GET":
        # A browser sends no SameSite=Strict cookie when it follows a link from another site. From this page it does.
        answers.again(req, resp)
        return
    resp.status = HTTPStatus.SEE_OTHER.value
    resp.location = "/login" if req.path == "/" else f"/login?next={quote(req.path)}"


def _is_here(host: str) -> bool:
    """Return whether the host is an IP address or a name of this machine (RFC 6761, 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
