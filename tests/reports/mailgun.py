"""Webhooks of Mailgun."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

from actors.reports.providers import Received
from settings.report_source import ReportSource
from tests.reports.requests import TOKEN, Documented, Provider, json, request

KEYS = ("signing-key-of-mailgun-1", "signing-key-of-mailgun-2")


def sign(payload: Any, key: int, at: datetime) -> Received:
    return signed(payload, key, at, "651869375b9df3c98fc15c4889b102119add1235c38fc92824")


def signed(payload: Any, key: int, at: datetime, token: str) -> Received:
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(KEYS[key].encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    return request(
        json({"signature": {"timestamp": timestamp, "token": token, "signature": digest}, "event-data": payload})
    )


def event(kind: str, **fields: Any) -> dict[str, Any]:
    about = {"event": kind, "id": "hTWCTD81RtiDN", "timestamp": 1795953600.153125, "recipient": "ann@example.com"}
    about |= {"message": {"headers": {"message-id": "20261129.1.DF5966@example.org", "to": "ann@example.com"}}}
    return about | {"user-variables": {"notify_token": TOKEN}} | fields


def failed(severity: str, reason: str, message: str = "no", code: int = 550) -> dict[str, Any]:
    status = {"code": code, "message": message, "description": ""}
    return event("failed", severity=severity, reason=reason, **{"delivery-status": status})


DOCUMENTED = [
    Documented("delivered", "delivered", event("delivered", **{"delivery-status": {"code": 250, "message": "OK"}})),
    Documented("failed, temporary", "delayed", failed("temporary", "generic", "4.2.0 later", 450)),
    Documented(
        "failed, permanent, bounce with a code such as 5.1.1",
        "bounced: hard",
        failed("permanent", "bounce", "5.1.1 no user"),
    ),
    Documented(
        "failed, permanent, bounce without a code",
        "bounced: unknown",
        failed("permanent", "bounce", "mailbox unavailable"),
    ),
    Documented("failed, permanent, generic", "bounced: unknown", failed("permanent", "generic")),
    Documented("failed, permanent, old", "bounced: soft", failed("permanent", "old", "Too old", 602)),
    Documented(
        "failed, permanent, suppress-bounce", "bounced: policy", failed("permanent", "suppress-bounce", code=605)
    ),
    Documented(
        "failed, permanent, suppress-complaint", "bounced: policy", failed("permanent", "suppress-complaint", code=607)
    ),
    Documented(
        "failed, permanent, suppress-unsubscribe",
        "bounced: policy",
        failed("permanent", "suppress-unsubscribe", code=606),
    ),
    Documented("failed, permanent, espblock", "bounced: policy", failed("permanent", "espblock")),
    Documented(
        "rejected",
        "bounced: sender",
        event("rejected", reject={"reason": "Sandbox subdomains are for test purposes only."}),
    ),
    Documented("complained", "complained", event("complained")),
    Documented("unsubscribed", "unsubscribed", event("unsubscribed")),
    *(Documented(name, "nothing", event(name)) for name in ("accepted", "opened", "clicked", "stored")),
]

PROVIDER = Provider(
    kind="mailgun",
    source=ReportSource("mailgun", KEYS),
    stranger=ReportSource("mailgun", ("signing-key-of-nobody",)),
    documented=DOCUMENTED,
    sign=sign,
    headers=(),
    covers_body=False,
    oldest=timedelta(hours=9),
)
