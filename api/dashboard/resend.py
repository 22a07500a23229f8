"""Serve /notifications/{id}/resend: store a new notification with the content of an old one."""

from __future__ import annotations

import hashlib
import re
import secrets
from http import HTTPStatus

import orjson
from falcon.asgi import Request, Response

from actors.channels.registry import channel
from api.access.auth import Caller, require
from api.access.limits import Limits
from api.dashboard.page import done, show
from api.http import idempotency
from api.http.answers import id_of, unknown
from api.http.problems import Problem
from api.resources import control
from api.resources.representation import KIND
from api.store import NotificationStore
from db import reports, resending
from db.idempotency import Key, Post, Refusal, Stored
from db.records import Draft
from runtime import logs

log = logs.get("dashboard")

_FORM = re.compile(r"[A-Za-z0-9_-]{22}")
_OURS = "\x02resend "  # a control character, so no client's Idempotency-Key begins with it


class Resend:
    """GET: asks. POST: a new notification of the same content, once for each time that it was asked for."""

    def __init__(self, store: NotificationStore, limits: Limits) -> None:
        self._store, self._limits = store, limits

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        caller = require(req, "send")
        row = control.own(await self._store.read(reports.notification, id_of(id, KIND), caller.client_id), caller)
        if row["erased_at"] is not None:
            raise control.in_this_state(row, "sent again", row["status"])
        show(req, resp, "resend.html", row=row, once=secrets.token_urlsafe(16))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        caller, number = require(req, "send"), id_of(id, KIND)
        key = _key(req.context.form.get("once", ""), number)
        draft = await self._store.read(resending.draft_of, number, caller.client_id, only_sandbox=caller.sandbox)
        if draft is None:
            raise unknown(KIND)
        self._check(draft, caller)
        draft = draft._replace(key_id=caller.key_id)
        stored = await self._stored(draft, caller, key, resp)
        log.info("notification.resent", id=stored.accepted.id, of=number)
        done(req, resp, f"/notifications/{stored.accepted.id}", "resent", number)

    def _check(self, draft: Draft, caller: Caller) -> None:
        """Raise Problem if the attachments are deleted or the sender is no longer allowed."""
        mail = orjson.loads(draft.mail) if draft.mail else {}
        if len(mail.get("attachments", ())) != len(draft.contents):
            raise Problem(HTTPStatus.GONE, "The content of its attachments is no longer stored.")
        sender = {"from": mail["from"]} if "from" in mail else {}
        reader = channel(draft.type).reader(self._store.settings)
        if faults := reader(sender, caller.rights).faults:
            raise Problem(HTTPStatus.CONFLICT, f"Its sender {faults[0]['detail']}.")

    async def _stored(self, draft: Draft, caller: Caller, key: Key, resp: Response) -> Stored:
        size = sum(map(len, draft.contents)) + len(draft.message) + len(draft.html or "")
        with await self._limits.admit(caller, 1, size) as admission:
            stored = await self._store.accept_once(Post(draft, key))
            if isinstance(stored, Refusal):
                raise idempotency.refused(stored, {"pointer": "/once"})
            admission.stored(int(not stored.replayed), resp)
        return stored


def _key(once: str, number: int) -> Key:
    """Return an idempotency key, so that a form that is sent twice stores one notification."""
    if not _FORM.fullmatch(once):
        raise Problem(HTTPStatus.BAD_REQUEST, "This form is incomplete. Go back, reload the page and try again.")
    return Key(f"{_OURS}{once}", hashlib.sha256(f"{once} {number}".encode()).digest())
