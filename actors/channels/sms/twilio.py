"""Twilio: POST Messages.json. It is not idempotent: a message that is posted twice is sent twice."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

from actors.channels import Deferred, ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, words
from actors.channels.sms.judging import OptedOut, refusal
from actors.channels.sms.senders import is_service
from actors.channels.sms.text import Text
from settings.http_account import HttpAccount

_CODES: dict[object, type[Undelivered]] = {
    **dict.fromkeys((20003, 20005, 20006, 20008, 20403, 20404, 20503), ProviderDown),
    20429: Throttled,
    20500: Uncertain,
    14107: Throttled,
    21211: Refused,  # invalid number
    21212: SenderRefused,
    21214: Refused,  # cannot be reached
    21217: Refused,  # invalid number
    21263: Refused,  # premium number
    21265: Refused,  # short code
    21266: Refused,  # the same number as the sender
    21267: SenderRefused,  # a name, with a trial account
    21268: Refused,  # premium number
    # Per country, number or text: these must not open the breaker for all others.
    21408: Refused,  # the account does not send to this country
    21601: SenderRefused,
    21602: Refused,  # no text
    21603: SenderRefused,  # none
    21604: Refused,  # no recipient
    21605: Refused,  # too long
    21606: SenderRefused,
    21608: Refused,  # not verified, with a trial account
    21609: ProviderDown,  # the address for status callbacks, which is made of PUBLIC_URL
    21610: OptedOut,
    21611: Throttled,  # the queue of the sender is full
    21612: Refused,  # this sender does not reach this recipient
    21614: Refused,  # not a mobile number
    21617: Refused,  # too long
    21635: Refused,  # landline
    21659: SenderRefused,
    21660: SenderRefused,
    21661: SenderRefused,
    21703: SenderRefused,
    21705: SenderRefused,
    # Of a message that has failed before it is answered; later they come in status callbacks.
    30001: Throttled,  # the queue is full
    30002: ProviderDown,  # the account is suspended
    30003: Deferred,  # the phone cannot be reached
    30004: Refused,  # blocked
    30005: Refused,  # unknown number
    30006: Refused,  # landline
    30007: Refused,  # filtered
    30008: Deferred,  # unknown error
    30034: SenderRefused,  # not registered for A2P 10DLC
}


def request(text: Text, account: HttpAccount) -> Request:
    """Return the request."""
    sender = "MessagingServiceSid" if is_service(text.sender) else "From"
    reports = {"StatusCallback": text.report_url} if text.report_url else {}
    body = urlencode({"To": text.to, sender: text.sender, "Body": text.body, **reports})
    credentials = b64encode(f"{account.key}:{account.secret}".encode()).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {credentials}"}
    return Request(f"{account.url}/Messages.json", headers, body.encode())


def judge(answer: Answer, text: Text) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status // 100 == 2:
        if said.get("status") not in {"failed", "undelivered"}:
            return taken(answer, said.get("sid"))
        code, message = _code(said.get("error_code")), str(said.get("error_message") or "the message has failed")
        raise refusal(answer, f"{code}: {message}", text, {0: Refused, **_CODES}, code, 0)
    code, message = _code(said.get("code")), str(said.get("message") or words(answer))
    raise refusal(answer, f"{code}: {message}" if code else message, text, _CODES, code)


def _code(given: object) -> int:
    """Return an error code of Twilio; 0 if there is none."""
    return given if isinstance(given, int) else 0
