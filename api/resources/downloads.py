"""/api/notifications/{id}/attachments/{number}: an attachment of a notification, as it was uploaded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import quote

from falcon.asgi import Request, Response

from api.access.auth import require
from api.http.answers import LARGEST_NUMBER, id_of, unknown
from api.http.problems import Problem
from api.resources.representation import KIND
from api.store import NotificationStore
from db import attachments

PIECE = 2**18  # bytes of a file that are in memory at a time, however slow the client is
_UNQUOTED = re.compile(r"[^A-Za-z0-9 !#$&+.^_-]")


class Attachment:
    """GET: download an attachment."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str, number: str) -> None:
        owner = require(req, "read").client_id
        notification, place = id_of(id, KIND), id_of(number, "attachment", LARGEST_NUMBER)
        found = await self._store.read(attachments.begun, notification, owner, place, PIECE)
        if found is None:
            raise unknown("attachment")
        if found.beginning is None:
            raise Problem(HTTPStatus.GONE, "The content of this attachment is no longer stored.")
        resp.content_type = found.told["contentType"]
        resp.content_length = found.told["size"]
        resp.set_header("Content-Disposition", disposition(found.told["filename"]))
        # The content may be anything: a browser must neither guess its type nor run it as a page of this origin.
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Content-Security-Policy", "default-src 'none'; sandbox")
        resp.stream = self._pieces(notification, place, found.beginning, found.told["size"])

    on_head = on_get

    async def _pieces(self, notification: int, place: int, piece: bytes, size: int) -> AsyncIterator[bytes]:
        given = 0
        while piece:
            yield piece
            given += len(piece)
            if given >= size:
                return
            piece = await self._store.read(attachments.piece, notification, place, given, PIECE)


def disposition(filename: str) -> str:
    """Return the Content-Disposition for saving a file under any name (RFC 6266, RFC 8187)."""
    return f"attachment; filename=\"{_UNQUOTED.sub('_', filename)}\"; filename*=UTF-8''{quote(filename, safe='')}"
