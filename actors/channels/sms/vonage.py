"""Vonage, formerly Nexmo: POST /sms/json. It answers 200 to refused messages too, with a status for each segment."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from actors.channels import ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, undelivered, unquoted, words
from actors.channels.sms.judging import refusal
from actors.channels.sms.text import Text
from settings.http_account import HttpAccount

_CODES: dict[object, type[Undelivered]] = {
    "1": Throttled,
    "2": Refused,  # a parameter is missing
    "3": Refused,  # a parameter is invalid
    "4": ProviderDown,  # credentials
    "5": Uncertain,  # internal error
    "6": Refused,  # the message cannot be processed
    "7": Refused,  # the number is barred
    "8": ProviderDown,  # the account is suspended
    "9": ProviderDown,  # no credit
    "10": Throttled,  # too many connections
    "11": ProviderDown,  # the account may not use this API
    "12": Refused,  # too long
    "14": ProviderDown,  # invalid signature
    "15": SenderRefused,
    "22": Refused,  # invalid network code
    "23": Refused,  # invalid URL for callbacks
    "29": Refused,  # the number is not on the list of a demo account
    "32": ProviderDown,  # the account requires signatures
    "33": Refused,  # the number is no longer in use
    420: Throttled,
}
_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)


def request(text: Text, account: HttpAccount) -> Request:
    """Return the request."""
    fields = {
        "api_key": account.key,
        "api_secret": account.secret,
        "from": text.sender.removeprefix("+"),
        "to": text.to.removeprefix("+"),
        "text": text.body,
        "type": "unicode" if text.is_unicode else "text",
        "client-ref": text.token or text.reference,  # comes back in receipts
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    return Request(f"{account.url}/sms/json", headers, urlencode(fields).encode())


def judge(answer: Answer, text: Text) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    parts = _parts(document(answer)) if answer.status == 200 else []
    if not parts:
        if answer.status == 200:
            return taken(answer, None)
        raise refusal(answer, words(answer), text, _CODES, answer.status)
    failed = [part for part in parts if part.get("status") != "0"]
    if not failed:
        return taken(answer, parts[0].get("message-id"))
    code = str(failed[0].get("status"))
    said = str(failed[0].get("error-text") or "no reason")
    if len(failed) < len(parts):  # A second attempt would send the other segments again.
        raise undelivered(Uncertain, answer, f"{code}: {said} (for {len(failed)} of {len(parts)} segments)")
    table = _CODES
    if code in {"2", "3"} and _FROM.search(unquoted(said)):
        table = {code: SenderRefused}
    raise refusal(answer, f"{code}: {said}", text, table, code)


def _parts(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the answers for the segments, if all of them are objects."""
    parts = said.get("messages")
    return parts if isinstance(parts, list) and all(isinstance(part, dict) for part in parts) else []
