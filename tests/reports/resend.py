"""Webhooks of Resend, signed as Svix does, by the library of Standard Webhooks."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks.webhooks import Webhook

from actors.reports.providers import Received
from settings.report_source import ReportSource
from tests.reports.requests import TOKEN, Documented, Provider, json, request

KEYS = tuple(f"whsec_{b64encode(bytes([n]) * 24).decode()}" for n in range(3))


def sign(payload: Any, key: int, at: datetime) -> Received:
    body = json(payload)
    signature = Webhook(KEYS[key]).sign("msg_2Q", at.astimezone(UTC), body.decode())
    headers = {"svix-id": "msg_2Q", "svix-timestamp": str(int(at.timestamp())), "svix-signature": signature}
    return request(body, headers)


def event(kind: str, **data: Any) -> dict[str, Any]:
    about: dict[str, Any] = {
        "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
        "from": "Acme <a@acme.com>",
        "to": ["ann@example.com"],
    }
    about |= {"subject": "Hi", "created_at": "2026-11-22T23:41:11.894719+00:00", "tags": {"notify_token": TOKEN}}
    return {"type": kind, "created_at": "2026-11-29T11:59:12.126Z", "data": about | data}


def bounce(kind: str, subtype: str) -> dict[str, Any]:
    return event("email.bounced", bounce={"message": "Refused.", "type": kind, "subType": subtype})


DOCUMENTED = [
    Documented("email.delivered", "delivered", event("email.delivered")),
    Documented("email.delivery_delayed", "delayed", event("email.delivery_delayed")),
    Documented("email.bounced, Permanent, General", "bounced: hard", bounce("Permanent", "General")),
    Documented("email.bounced, Permanent, NoEmail", "bounced: hard", bounce("Permanent", "NoEmail")),
    Documented("email.bounced, Permanent, Suppressed", "bounced: policy", bounce("Permanent", "Suppressed")),
    Documented("email.bounced, Transient, General", "bounced: soft", bounce("Transient", "General")),
    Documented("email.bounced, Transient, MailboxFull", "bounced: soft", bounce("Transient", "MailboxFull")),
    Documented("email.bounced, Transient, ContentRejected", "bounced: policy", bounce("Transient", "ContentRejected")),
    Documented("email.bounced, Undetermined", "bounced: unknown", bounce("Undetermined", "Undetermined")),
    Documented("email.complained", "complained", event("email.complained")),
    Documented("email.failed", "bounced: unknown", event("email.failed", failed={"reason": "reached_daily_quota"})),
    Documented("email.suppressed", "bounced: policy", event("email.suppressed", suppressed={"message": "On the list"})),
    *(
        Documented(f"email.{name}", "nothing", event(f"email.{name}"))
        for name in ("sent", "scheduled", "opened", "clicked")
    ),
    Documented(
        "contact.created, domain.created and others", "nothing", {"type": "contact.created", "data": {"id": "1"}}
    ),
]

PROVIDER = Provider(
    kind="resend",
    source=ReportSource("resend", KEYS[:2]),
    stranger=ReportSource("resend", KEYS[2:]),
    documented=DOCUMENTED,
    sign=sign,
    headers=("svix-id", "svix-timestamp", "svix-signature"),
    covers_body=True,
    oldest=timedelta(minutes=5),
)
