"""Resend: POST /emails, with the fields of the mail and an idempotency key."""

from __future__ import annotations

from mimetypes import MimeTypes
from pathlib import PurePosixPath
from typing import Any

import orjson

from actors.channels import ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.email.http.judging import ByWords, refusal
from actors.channels.email.http.outgoing import Outgoing, in_base64, written
from actors.channels.email.mime import Attached
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, words
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

TITLE = "Resend"
_TYPES = MimeTypes()  # without the files of this machine, so that all workers decide alike
_CODES: dict[object, type[Undelivered]] = {
    "missing_api_key": ProviderDown,
    "restricted_api_key": ProviderDown,
    "invalid_api_key": ProviderDown,
    "api key is invalid": ProviderDown,
    "daily_quota_exceeded": ProviderDown,
    "monthly_quota_exceeded": ProviderDown,
    "rate_limit_exceeded": Throttled,
    # An earlier attempt has arrived and may have been taken, so that no other provider may get the mail.
    "invalid_idempotent_request": Uncertain,
    "concurrent_idempotent_requests": Uncertain,
    "invalid_idempotency_key": Refused,
    "invalid_from_address": SenderRefused,
    "invalid_attachment": Refused,
    "missing_required_field": Refused,
    "security_error": Refused,
    (403, "validation_error"): SenderRefused,  # its domain is not verified
    (400, "validation_error"): ByWords,
}


def request(outgoing: Outgoing, account: HttpAccount) -> Request:
    """Return the request. All attempts have the same idempotency key, so that a second one sends nothing."""
    mail = outgoing.fields(TITLE)
    body: dict[str, Any] = {
        "from": written(mail.sender),
        "to": [written(mail.to)],
        "subject": mail.subject,
        "text": mail.text,
        "headers": {**mail.headers, "Auto-Submitted": "auto-generated"},
    }
    for name, copies in (("cc", mail.cc), ("bcc", mail.bcc)):
        if copies:
            body[name] = list(map(written, copies))
    if mail.token:
        body["tags"] = [{"name": REFERENCE, "value": mail.token}]
    if mail.reply_to is not None:
        body["reply_to"] = [written(mail.reply_to)]
    if mail.html is not None:
        body["html"] = mail.html
    if mail.attached:
        body["attachments"] = [_file(file) for file in mail.attached]
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {account.secret}",
        "Idempotency-Key": mail.message_id,
    }
    return Request(f"{account.url}/emails", headers, orjson.dumps(body))


def judge(answer: Answer, blamed: type[Undelivered]) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status // 100 == 2:
        return taken(answer, said.get("id"))
    name, text = str(said.get("name", "")), str(said.get("message") or words(answer))
    codes = (text.lower(), name, (answer.status, name))
    raise refusal(answer, f"{name}: {text}" if name else text, blamed, _CODES, *codes)


def _file(file: Attached) -> dict[str, str]:
    """Return an attachment. Resend drops mails silently if the extension of a file does not go with its type."""
    kind = file.content_type.partition(";")[0].strip().lower()
    suffix = PurePosixPath(file.filename).suffix.lower()
    guessed, _ = _TYPES.guess_type(f"file{suffix}", strict=False)
    if guessed not in {None, kind} and suffix not in _TYPES.guess_all_extensions(kind, strict=False):
        text = f"Resend loses a mail whose attachment {file.filename} has another extension than those of {kind}"
        raise Refused(printable(text), phase="compose")
    shown = {"filename": file.filename, "content_type": file.content_type, "content": in_base64(file.content)}
    return shown | ({"content_id": file.content_id} if file.content_id else {})
