"""PATCH of a notification: changes when to send it and when it expires."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request

from api.access.auth import Caller
from api.http.bodies import read_json
from api.http.problems import invalid
from api.resources.control import in_this_state, own
from api.schemas import Schema
from api.schemas.drafts import time_faults, time_of
from api.store import NotificationStore
from db import lifecycle, reports
from db.records import Times


class Rescheduling:
    """Changes `sendAt` and `expiresAt` of a pending notification."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("reschedule", store.settings)

    async def answer(self, req: Request, id: int, caller: Caller) -> reports.Row:
        """Reschedule the notification and return it; raise Problem."""
        document = await read_json(req, self._store.settings.http)
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        times = _times(document)
        moved, row = await self._store.read(_reschedule, id, caller, times)
        if moved:
            return own(row, caller)
        raise _refused(own(row, caller), times)


def _times(document: dict[str, Any]) -> Times:
    return Times(
        "sendAt" in document,
        time_of(document.get("sendAt")),
        "expiresAt" in document,
        time_of(document.get("expiresAt")),
    )


def _reschedule(id: int, caller: Caller, times: Times) -> tuple[bool, reports.Row | None]:
    moved = lifecycle.reschedule(id, caller.client_id, times, key=caller.key_id, only_sandbox=caller.sandbox)
    return moved, reports.notification(id, caller.client_id)


def _refused(row: reports.Row, times: Times) -> Exception:
    send_at = times.send_at if times.sends else row["send_at"]
    expires_at = times.expires_at if times.expires else row["expires_at"]
    faults = time_faults(send_at, expires_at, datetime.now(UTC))
    if row["status"] != "pending" or not faults:
        return in_this_state(row, "rescheduled", "pending")
    return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
