"""Webhooks of Vonage: of the Messages API with a JWT, of the SMS API with a signed form."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from actors.reports.providers import Received
from settings.report_source import ReportSource
from tests.reports.requests import TOKEN, Documented, Provider, json, request

KEYS = ("signature-secret-of-vonage-1", "signature-secret-of-vonage-2")


def part(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwt(body: bytes, key: str, at: datetime, header: dict[str, str] | None = None, **claims: Any) -> str:
    said = {"iat": int(at.timestamp()), "jti": "c5ba8f24", "iss": "Vonage", "api_key": "abcd1234"}
    said |= {"payload_hash": hashlib.sha256(body).hexdigest()} | claims
    head = f"{part(json(header or {'alg': 'HS256', 'typ': 'JWT'}))}.{part(json(said))}"
    return f"{head}.{part(hmac.new(key.encode(), head.encode(), hashlib.sha256).digest())}"


def sign(payload: Any, key: int, at: datetime) -> Received:
    """Sign a payload of the Messages API, which has message_uuid, or else of the SMS API."""
    if "msisdn" in payload:
        return sms(payload, KEYS[key], at)
    body = json(payload)
    return request(body, {"Authorization": f"Bearer {jwt(body, KEYS[key], at)}", "Content-Type": "application/json"})


def sms(payload: dict[str, str], key: str, at: datetime) -> Received:
    fields = payload | {"timestamp": str(int(at.timestamp())), "nonce": "a&b=c"}
    text = "".join(f"&{name}={fields[name].translate({38: '_', 61: '_'})}" for name in sorted(fields))
    fields["sig"] = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
    return request(urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"})


def status(word: str, code: int | None = None) -> dict[str, Any]:
    about = {
        "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        "to": "41791234567",
        "from": "ACME",
        "status": word,
    }
    about |= {"timestamp": "2026-11-29T11:59:00.000Z", "client_ref": TOKEN, "channel": "sms"}
    if code is None:
        return about
    return about | {"error": {"type": "https://developer.vonage.com/api-errors", "title": code, "detail": "Refused"}}


def receipt(word: str, code: str = "0") -> dict[str, str]:
    about = {"msisdn": "41791234567", "to": "ACME", "network-code": "22801", "messageId": "0B00000127FDBC63"}
    about |= {"price": "0.03330000", "status": word, "scts": "2611291159", "err-code": code, "api-key": "abcd1234"}
    return about | {"message-timestamp": "2026-11-29 11:59:00", "client-ref": TOKEN}


def incoming(text: str) -> dict[str, str]:
    about = {"msisdn": "41791234567", "to": "41790000000", "messageId": "0C000000217B7F02", "text": text}
    return about | {"type": "text", "keyword": text.upper(), "message-timestamp": "2026-11-29 11:59:00"}


def failing(becomes: str, *codes: str) -> list[Documented]:
    return [Documented(f"err-code {n}", becomes, receipt("failed", n)) for n in codes]


def refused(becomes: str, *codes: int) -> list[Documented]:
    return [Documented(f"error {code}", becomes, status("rejected", code)) for code in codes]


DOCUMENTED = [
    Documented("delivered, read", "delivered", receipt("delivered")),
    Documented("buffered", "delayed", receipt("buffered")),
    Documented("expired", "bounced: soft", receipt("expired", "")),
    *failing("bounced: hard", "3", "4"),
    *failing("bounced: soft", "2", "5", "7", "8", "15"),
    *failing("bounced: policy", "6", "13", "14"),
    *failing("bounced: sender", "10", "16", "39", "50", "51", "52", "53", "54"),
    Documented("any other code", "bounced: unknown", receipt("failed", "99")),
    *failing("bounced: policy, unsubscribed", "9"),
    *refused("bounced: hard", 1190),
    *refused("bounced: soft", 1000, 1030, 1180, 1200, 1220, 1230, 1290),
    *refused("bounced: policy", 1050, 1210, 1270, 1280),
    *refused("bounced: sender", 1060, 1070, 1120, 1140),
    *refused("bounced: policy, unsubscribed", 1240),
    Documented("accepted, submitted, unknown", "nothing", status("submitted")),
    Documented("a message with STOP or a word like it", "unsubscribed", incoming("STOP")),
    Documented("a message with START or UNSTOP", "resubscribed", incoming("Start")),
    Documented("any other message", "nothing", incoming("stop it")),
]

PROVIDER = Provider(
    kind="vonage",
    source=ReportSource("vonage", KEYS),
    stranger=ReportSource("vonage", ("signature-secret-of-nobody",)),
    documented=DOCUMENTED,
    sign=sign,
    headers=(),
    covers_body=True,
    oldest=timedelta(hours=25),
)
