"""Serve /notifications/{id}/mail, the HTML of a mail for a sandboxed frame, and /source, the mail as it is sent."""

from __future__ import annotations

from falcon.asgi import Request, Response

from actors.channels import Undelivered
from actors.channels.email.channel import EMAIL
from actors.channels.email.mail import compose
from actors.channels.email.mailboxes import Mailbox, mail_from
from actors.channels.email.unsubscribing import PATH, url
from api.access.auth import Caller, require
from api.dashboard.framed import frame
from api.dashboard.images import MOST, Image, in_place, kind_of
from api.http.answers import id_of, unknown
from api.resources.representation import KIND
from api.store import NotificationStore
from db import attachments, reports
from db.records import Claimed
from db.reports import Row
from settings import Settings, SettingsError


class Html:
    """GET: the HTML of a mail with its inline images."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        owner = require(req, "read").client_id
        html = await self._store.read(_html, id_of(id, KIND), owner)
        if html is None:
            raise unknown(KIND)
        frame(resp, html)

    on_head = on_get


class Source:
    """GET: the mail as it is sent (RFC 5322), composed with the MAIL_FROM of this process."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        caller = require(req, "read")
        source = await self._store.read(_source, id_of(id, KIND), caller, self._store.settings)
        if source is None:
            raise unknown(KIND)
        frame(resp, source, "text/plain; charset=utf-8")

    on_head = on_get


def _html(id: int, owner: int) -> str | None:
    row = reports.notification(id, owner)
    if row is None or row["html"] is None:
        return None
    return in_place(row["html"], _images(row, owner))


def _images(row: Row, owner: int) -> list[Image]:
    """Return the inline images (attachments with a content id), up to MOST bytes in all."""
    images, room = [], MOST
    for number, file in enumerate((row["mail"] or {}).get("attachments", ()), 1):
        kind = kind_of(file["contentType"])
        if file.get("contentId") and kind and file["size"] <= room:
            found = attachments.begun(row["id"], owner, number, file["size"])
            if found and found.beginning is not None:
                room -= file["size"]
                images.append(Image.of(file["contentId"], kind, found.beginning))
    return images


_COMPOSED = (
    "id",
    "type",
    "recipient",
    "subject",
    "message",
    "html",
    "on_uncertain",
    "retry_count",
    "created_at",
    "send_at",
)


def _source(id: int, caller: Caller, settings: Settings) -> bytes | None:
    row = reports.notification(id, caller.client_id)
    if row is None or row["type"] != EMAIL.name:
        return None
    claimed = Claimed(claim=0, **{name: row[name] for name in (*_COMPOSED, "mail")})
    leave = _leave(id, caller, settings) if row["mail"] else None
    try:
        return compose(claimed, _sender(settings), attachments.stored(id), leave).content
    except Undelivered as why:
        return f"This mail cannot be composed: {why}\n".encode()


def _leave(id: int, caller: Caller, settings: Settings) -> str | None:
    """Return the unsubscribe link of the mail. Callers who may not unsubscribe the recipient get no token."""
    if "manage" in caller.scopes and not caller.sandbox:
        return url(id, settings.public)
    return f"{settings.public.url.rstrip('/')}{PATH}..." if settings.public.url else None


def _sender(settings: Settings) -> Mailbox:
    try:
        return mail_from(settings.smtp.sender)
    except SettingsError:  # The API process may have no MAIL_FROM; only workers need one.
        return Mailbox("", "mail-from@unknown.invalid")
