"""SendGrid: POST /v3/mail/send, with the fields of the mail."""

from __future__ import annotations

from typing import Any

import orjson

from actors.channels import ProviderDown, Receipt, Undelivered
from actors.channels.email.http.judging import ByWords, refusal
from actors.channels.email.http.outgoing import Outgoing, in_base64, named
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, words
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

TITLE = "SendGrid"
_CODES: dict[object, type[Undelivered]] = {
    "sandbox": ProviderDown,
    "from": SenderRefused,
    400: ByWords,
    401: ProviderDown,  # the key, and "Maximum credits exceeded"
    403: ProviderDown,
    451: ProviderDown,  # data residency
    503: ProviderDown,  # the API is not available
}


def request(outgoing: Outgoing, account: HttpAccount) -> Request:
    """Return the request."""
    mail = outgoing.fields(TITLE)
    recipients = {"to": [named(mail.to)], "cc": list(map(named, mail.cc)), "bcc": list(map(named, mail.bcc))}
    content = [{"type": "text/plain", "value": mail.text}]
    if mail.html is not None:
        content.append({"type": "text/html", "value": mail.html})
    body: dict[str, Any] = {
        "personalizations": [{name: mailboxes for name, mailboxes in recipients.items() if mailboxes}],
        "from": named(mail.sender),
        "subject": mail.subject,
        "content": content,
        "headers": {**mail.headers, "Auto-Submitted": "auto-generated", "Message-ID": f"<{mail.message_id}>"},
    }
    if mail.token:
        body["custom_args"] = {REFERENCE: mail.token}
    if mail.reply_to is not None:
        body["reply_to"] = named(mail.reply_to)
    if mail.attached:
        body["attachments"] = [
            {"filename": file.filename, "type": file.content_type, "content": in_base64(file.content)}
            | ({"disposition": "inline", "content_id": file.content_id} if file.content_id else {})
            for file in mail.attached
        ]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {account.secret}"}
    return Request(f"{account.url}/v3/mail/send", headers, orjson.dumps(body))


def judge(answer: Answer, blamed: type[Undelivered]) -> Receipt:
    """Return the receipt, or raise what the answer means. 200 means that a mail was checked and not sent."""
    if answer.status == 202:
        return taken(answer, answer.headers.get("X-Message-Id"))
    if answer.status == 200:
        text = "the account is in sandbox mode: the mail was checked, and not sent"
        raise refusal(answer, text, blamed, _CODES, "sandbox")
    errors = [error for error in document(answer).get("errors") or () if isinstance(error, dict)]
    text = "; ".join(str(error.get("message")) for error in errors) or words(answer)
    about_sender = any(error.get("field") == "from" for error in errors) or "verified Sender Identity" in text
    raise refusal(answer, text, blamed, _CODES, "from" if about_sender else "", answer.status)
