"""/u/{token}: page at which a recipient, or their mail program, unsubscribes with one click (RFC 8058).

Anybody with the link may use it, because recipients have no key. GET changes nothing, because mail filters follow the
links in a mail (RFC 8058, 1). The page names neither the recipient nor the subject.
"""

from __future__ import annotations

from http import HTTPStatus

from falcon.asgi import Request, Response

from actors.channels.email.unsubscribing import notification_of
from api.http.problems import Problem
from api.store import NotificationStore
from db import suppressions
from runtime import logs

log = logs.get("api")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title></head><body>
{body}
</body></html>
"""
ASK = PAGE.format(
    body='<h1>Unsubscribe?</h1>\n<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button type="submit">Unsubscribe</button></form>'
).encode()
DONE = PAGE.format(body="<h1>You are unsubscribed.</h1>\n<p>You will get no more of these mails.</p>").encode()
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


class Unsubscribe:
    """GET: ask for confirmation. POST: add the recipient to the suppression list."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, _req: Request, resp: Response, token: str) -> None:
        self._notification(token)
        _write(resp, ASK)

    on_head = on_get

    async def on_post(self, _req: Request, resp: Response, token: str) -> None:
        """Unsubscribe the recipient, whatever the body says: the link is the permission. It can be repeated safely."""
        notification = self._notification(token)
        if not await self._store.read(suppressions.unsubscribe, notification):
            raise _unknown()
        log.info("recipient.unsubscribed", id=notification)
        _write(resp, DONE)

    def _notification(self, token: str) -> int:
        notification = notification_of(token, self._store.settings.public)
        if notification is None:
            raise _unknown()
        return notification


def _unknown() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "This unsubscribe link is invalid; it may be incomplete.")


def _write(resp: Response, page: bytes) -> None:
    resp.content_type = "text/html; charset=utf-8"
    resp.set_headers(HEADERS)
    resp.data = page
