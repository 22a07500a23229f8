"""Any other provider, behind a small HTTP API of your own: docs/sms.md describes it."""

from __future__ import annotations

import orjson

from actors.channels import Receipt, Undelivered
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, words
from actors.channels.sms.judging import OptedOut, refusal
from actors.channels.sms.text import Text
from settings.http_account import HttpAccount

_CODES: dict[object, type[Undelivered]] = {"opted-out": OptedOut, "sender": SenderRefused}


def request(text: Text, account: HttpAccount) -> Request:
    """Return the request. All attempts have the same idempotency key."""
    encoding, segments = text.segments
    document = {"to": text.to, "from": text.sender or None, "text": text.body}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": f"Bearer {account.secret}",
        "Idempotency-Key": text.reference,
    }
    return Request(account.url, headers, orjson.dumps({**document, "encoding": encoding, "segments": segments}))


def judge(answer: Answer, text: Text) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status // 100 == 2:
        return taken(answer, said.get("id"))
    code, detail = str(said.get("code", "")), str(said.get("detail") or words(answer))
    codes = (code,) if answer.status in {400, 403, 409, 422} else ()
    raise refusal(answer, f"{code}: {detail}" if code else detail, text, _CODES, *codes)
