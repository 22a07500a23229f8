"""Postmark: POST /email, with the fields of the mail."""

from __future__ import annotations

from typing import Any

import orjson

from actors.channels import ProviderDown, Receipt, Refused, Throttled, Undelivered, printable
from actors.channels.email.http.judging import refusal
from actors.channels.email.http.outgoing import Outgoing, in_base64, written
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, words
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

TITLE = "Postmark"
_CODES: dict[object, type[Undelivered]] = {
    10: ProviderDown,  # bad or missing token
    100: ProviderDown,  # maintenance
    300: Refused,  # invalid email request
    400: SenderRefused,  # sender signature not found
    401: SenderRefused,  # sender signature not confirmed
    402: Refused,  # invalid JSON
    403: Refused,  # incompatible JSON
    405: ProviderDown,  # not allowed to send: no credits are left
    406: Refused,  # inactive recipient
    409: Refused,  # JSON required
    411: Refused,  # forbidden attachment type
    412: ProviderDown,  # account is pending
    413: ProviderDown,  # account may not send
    429: Throttled,
}
_STATUSES: dict[object, type[Undelivered]] = {503: ProviderDown}  # a planned outage


def request(outgoing: Outgoing, account: HttpAccount) -> Request:
    """Return the request. X-PM-KeepID keeps our Message-ID."""
    mail = outgoing.fields(TITLE)
    headers = {
        **mail.headers,
        "Auto-Submitted": "auto-generated",
        "Message-ID": f"<{mail.message_id}>",
        "X-PM-KeepID": "true",
    }
    body: dict[str, Any] = {
        "From": written(mail.sender),
        "To": written(mail.to),
        "Subject": mail.subject,
        "TextBody": mail.text,
        "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
    }
    for name, copies in (("Cc", mail.cc), ("Bcc", mail.bcc)):
        if copies:
            body[name] = ", ".join(map(written, copies))
    if mail.token:
        body["Metadata"] = {REFERENCE: mail.token}
    if mail.reply_to is not None:
        body["ReplyTo"] = written(mail.reply_to)
    if mail.html is not None:
        body["HtmlBody"] = mail.html
    if mail.attached:
        body["Attachments"] = [
            {"Name": file.filename, "ContentType": file.content_type, "Content": in_base64(file.content)}
            | ({"ContentID": f"cid:{file.content_id}"} if file.content_id else {})
            for file in mail.attached
        ]
    sent = {"Content-Type": "application/json", "Accept": "application/json", "X-Postmark-Server-Token": account.secret}
    return Request(f"{account.url}/email", sent, orjson.dumps(body))


def judge(answer: Answer, blamed: type[Undelivered]) -> Receipt:
    """Return the receipt, or raise what the answer means. It may name recipients that will not get the mail."""
    said = document(answer)
    code, text = said.get("ErrorCode"), str(said.get("Message") or words(answer))
    if answer.status == 200 and code in (0, None):
        receipt = taken(answer, said.get("MessageID"))
        return receipt._replace(text=printable(f"{receipt.text}: {text}")) if text not in ("", "OK") else receipt
    if isinstance(code, int) and code in _CODES:
        raise refusal(answer, f"{code}: {text}", blamed, _CODES, code)
    raise refusal(answer, text, blamed, _STATUSES, answer.status)
