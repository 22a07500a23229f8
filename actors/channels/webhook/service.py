"""Webhooks: a client's own servers, which get its notifications as signed POST requests (Standard Webhooks)."""

from __future__ import annotations

import orjson

from actors.channels import Deferred, Receipt, Refused, printable
from actors.channels.destination_answers import throttled
from actors.channels.destination_provider import Turn
from actors.channels.webhook.http_client import Answer, Request
from actors.channels.webhook.signature import headers
from db.destinations import Address
from db.records import Claimed

EVENT = "notification"  # the type of a webhook that names none
GONE = 410
_HEADERS = {"Content-Type": "application/json", "User-Agent": "notification-system"}


class WebhookService:
    """Kind of destinations that are webhooks."""

    async def send(self, notification: Claimed, destination: Address, turn: Turn) -> Receipt:
        return judge(await turn.post(request(notification, destination)))


def request(notification: Claimed, destination: Address) -> Request:
    """Return the signed request. Its body and its id are the same in every attempt."""
    body = orjson.dumps(
        {
            "type": notification.subject or EVENT,
            "timestamp": notification.created_at,
            "data": orjson.Fragment(notification.message),
        },
        option=orjson.OPT_UTC_Z,
    )
    signed = headers(f"msg_{notification.id}", destination.now, body, destination.secrets)
    return Request(destination.url, _HEADERS | signed, body)


def judge(answer: Answer) -> Receipt:
    """Return the receipt for a 2xx, or raise what the answer means."""
    text = printable(f"{answer.status} {answer.reason} {answer.body.decode('utf-8', 'replace')}")
    if answer.status // 100 == 2:
        return Receipt("answer", answer.status, None, text)
    if answer.status == GONE:
        raise Refused(text, phase="answer", reply_code=answer.status)
    if answer.status in (429, 503) and "Retry-After" in answer.headers:
        raise throttled(answer, printable(f"{answer.reason} {answer.body.decode('utf-8', 'replace')}"))
    raise Deferred(text, phase="answer", reply_code=answer.status)
