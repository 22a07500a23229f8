"""Webhooks of SendGrid, signed with ECDSA keys that are made here."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actors.reports.providers import Received
from settings.report_source import ReportSource
from tests.reports.requests import TOKEN, Documented, Provider, json, request

KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def public(key: ec.EllipticCurvePrivateKey) -> str:
    return b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(payload: Any, key: int, at: datetime) -> Received:
    return signed(json(payload), key, at)


def signed(body: bytes, key: int, at: datetime) -> Received:
    timestamp = str(int(at.timestamp()))
    signature = KEYS[key].sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return request(
        body,
        {
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        },
    )


def event(kind: str, **fields: Any) -> dict[str, Any]:
    about = {"event": kind, "email": "ann@example.com", "timestamp": 1795953600, "sg_event_id": f"{kind}=="}
    about |= {"smtp-id": "<14c5d75ce93@ismtpd-555>", "notify_token": TOKEN}
    return about | {"sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"} | fields


def bounce(name: str, status: str = "5.0.0", kind: str = "bounce") -> list[dict[str, Any]]:
    return [event("bounce", bounce_classification=name, status=status, type=kind, reason="500 no")]


DOCUMENTED = [
    Documented("delivered", "delivered", [event("delivered", response="250 OK")]),
    Documented("deferred", "delayed", [event("deferred", response="400 try again later", attempt="5")]),
    Documented("bounce, Invalid Address", "bounced: hard", bounce("Invalid Address")),
    Documented("bounce, Technical Failure", "bounced: soft", bounce("Technical") + bounce("Technical Failure")),
    Documented("bounce, Mailbox Unavailable", "bounced: soft", bounce("Mailbox Unavailable")),
    Documented("bounce, Content or Reputation", "bounced: policy", bounce("Content") + bounce("Reputation")),
    Documented(
        "bounce, Frequency or Volume Too High",
        "bounced: policy",
        bounce("Frequency/Volume") + bounce("Frequency or Volume Too High"),
    ),
    Documented("bounce, Unclassified", "bounced: unknown", bounce("Unclassified")),
    Documented("bounce of the type blocked", "bounced: policy", bounce("Unclassified", kind="blocked")),
    Documented(
        "dropped, Bounced Address", "bounced: policy", [event("dropped", reason="Bounced Address", status="5.0.0")]
    ),
    Documented("dropped, Unsubscribed Address", "bounced: policy", [event("dropped", reason="Unsubscribed Address")]),
    Documented(
        "dropped, Spam Reporting Address", "bounced: policy", [event("dropped", reason="Spam Reporting Address")]
    ),
    Documented("dropped, Spam Content", "bounced: policy", [event("dropped", reason="Spam Content")]),
    Documented(
        "dropped, Invalid SMTPAPI header", "bounced: sender", [event("dropped", reason="Invalid SMTPAPI header")]
    ),
    Documented(
        "dropped, Recipient List over Package Quota",
        "bounced: sender",
        [event("dropped", reason="Recipient List over Package Quota")],
    ),
    Documented("spamreport", "complained", [event("spamreport")]),
    Documented("unsubscribe, group_unsubscribe", "unsubscribed", [event("unsubscribe"), event("group_unsubscribe")]),
    Documented("group_resubscribe", "resubscribed", [event("group_resubscribe", asm_group_id=10)]),
    Documented("processed, open, click", "nothing", [event("processed"), event("open"), event("click")]),
    Documented("account_status_change", "nothing", [event("account_status_change", type="compliance_suspend")]),
]

PROVIDER = Provider(
    kind="sendgrid",
    source=ReportSource("sendgrid", (public(KEYS[0]), public(KEYS[1]))),
    stranger=ReportSource("sendgrid", (public(KEYS[2]),)),
    documented=DOCUMENTED,
    sign=sign,
    headers=("X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"),
    covers_body=True,
    oldest=timedelta(hours=25),
)
