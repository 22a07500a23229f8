"""Webhooks of Twilio."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from actors.reports.providers import Received
from settings.report_source import ReportSource
from tests.reports.requests import URL, Documented, Provider, request

KEYS = ("auth-token-of-twilio-1", "auth-token-of-twilio-2")


def sign(payload: Any, key: int, at: datetime) -> Received:
    return signed(payload, KEYS[key])._replace(at=at)


def signed(fields: dict[str, str], key: str, url: str = URL, hashing: str = "sha1") -> Received:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    signature = b64encode(hmac.new(key.encode(), text.encode(), getattr(hashlib, hashing)).digest()).decode()
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    return request(urlencode(fields).encode(), headers, url)


def status(word: str, code: str = "") -> dict[str, str]:
    fields = {"MessageSid": "SM1f0e8ae6ade43cb3c0ce4525424e404f", "MessageStatus": word, "AccountSid": "AC1"}
    fields |= {"To": "+41791234567", "From": "+15555550100"}
    return fields | ({"ErrorCode": code} if code else {})


def incoming(text: str, **fields: str) -> dict[str, str]:
    about = {"MessageSid": "SM2", "SmsStatus": "received", "From": "+41791234567", "To": "+15555550100", "Body": text}
    return about | fields


def failing(becomes: str, *codes: str) -> list[Documented]:
    return [Documented(code, becomes, status("undelivered", code)) for code in codes]


DOCUMENTED = [
    Documented("delivered, read", "delivered", status("delivered")),
    *failing("bounced: hard", "21211", "21614", "30005", "30006"),
    *failing("bounced: soft", "30001", "30003", "30009", "30017", "30036", "30410"),
    *failing("bounced: policy", "30004", "30007", "30019", "30038", "30450"),
    *failing("bounced: sender", "30002", "30010", "30022", "30023", "30024", "30032", "30034", "30035", "30037"),
    Documented("any other code", "bounced: unknown", status("failed", "30008")),
    Documented("21610", "bounced: policy, unsubscribed", status("failed", "21610")),
    Documented("queued, accepted, scheduled, sending, sent, canceled", "nothing", status("sent")),
    Documented("a message with STOP or a word like it", "unsubscribed", incoming(" Stop. ")),
    Documented("a message with OptOutType STOP", "unsubscribed", incoming("ARRET", OptOutType="STOP")),
    Documented("a message with START or UNSTOP", "resubscribed", incoming("start")),
    Documented("a message with HELP, or any other", "nothing", incoming("Please stop sending me this")),
]

PROVIDER = Provider(
    kind="twilio",
    source=ReportSource("twilio", KEYS),
    stranger=ReportSource("twilio", ("auth-token-of-nobody",)),
    documented=DOCUMENTED,
    sign=sign,
    headers=("X-Twilio-Signature",),
    covers_body=True,
    oldest=None,
)
