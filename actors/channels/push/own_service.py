"""Any other push service, behind a small HTTP API of your own: docs/push.md describes it."""

from __future__ import annotations

from datetime import UTC

import orjson

from actors.channels import Receipt
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import document, taken, words
from actors.channels.push.judging import gone, refusal
from actors.channels.push.payloads import Push
from db.records import Claimed
from settings.push_accounts import PushAccount


def request(push: Push, account: PushAccount) -> Request:
    """Return the request. All attempts have the same idempotency key."""
    options = {name: value for name, value in push.options.items() if name != "registeredAt"}
    end = None if push.expires_at is None else push.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = {
        **{"id": push.id, "recipient": f"{push.kind}:{push.token}", "title": push.title, "body": push.body},
        **{"priority": push.priority, "expiresAt": end, **options},
    }
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": f"Bearer {account.secret}",
        "Idempotency-Key": push.uuid,
    }
    return Request(account.url, headers, orjson.dumps(content))


def judge(answer: Answer, _notification: Claimed) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    if answer.status // 100 == 2:
        return taken(answer, document(answer).get("id"))
    if answer.status == 410:
        raise gone(answer, words(answer))
    raise refusal(answer, words(answer), {})
