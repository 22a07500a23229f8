"""Brevo: POST /v3/smtp/email, with the fields of the mail and an idempotency key."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from actors.channels import ProviderDown, Receipt, Refused, Uncertain, Undelivered, printable
from actors.channels.email.http.judging import ByWords, refusal
from actors.channels.email.http.outgoing import SPECIAL, Fields, Outgoing, encoded_name, in_base64, named
from actors.channels.email.mailboxes import Mailbox
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import document, taken, unquoted, words
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

TITLE = "Brevo"
# Files whose type Brevo knows from the extension, which is all that it goes by.
EXTENSIONS = re.compile(
    r".*\.(?:xlsx?|xlsm|ods|docx|docm|doc|csv|pdf|txt|gif|jpe?g|png|tiff?|rtf|bmp|cgm|css|shtml|html?|zip|xml|pptx?|tar"
    r"|ez|ics|mobi|msg|pub|eps|odt|mp3|m4a|m4v|wma|ogg|flac|wav|aiff?|aifc|mp4|mov|avi|mkv|mpe?g|wmv|pkpass)",
    re.IGNORECASE,
)
_CODES: dict[object, type[Undelivered]] = {
    # An earlier attempt has arrived and may have been taken, so that no other provider may get the mail.
    "duplicate_parameter": Uncertain,
    "duplicate_request": Uncertain,
    "not_enough_credits": ProviderDown,
    "account_under_validation": ProviderDown,
    "permission_denied": ProviderDown,
    "unauthorized": ProviderDown,
    "missing_parameter": Refused,
    "out_of_range": Refused,
    "invalid_parameter": ByWords,  # also for a sender that is not valid
}


def request(outgoing: Outgoing, account: HttpAccount) -> Request:
    """Return the request. Brevo requires HTML, so a mail without HTML gets its text as HTML too."""
    mail = outgoing.fields(TITLE)
    if fault := next(_faults(mail), None):
        raise Refused(printable(f"Brevo cannot send this mail: {fault}"), phase="compose")
    body: dict[str, Any] = {
        "sender": _named(mail.sender),
        "to": [_named(mail.to)],
        "subject": mail.subject,
        "textContent": mail.text,
        "htmlContent": mail.html if mail.html is not None else _as_html(mail.text),
        "headers": {**mail.headers, "Idempotency-Key": str(uuid5(NAMESPACE_URL, f"mid:{mail.message_id}"))},
    }
    if mail.token:
        body["headers"]["X-Mailin-custom"] = f"{REFERENCE}:{mail.token}"
    for name, copies in (("cc", mail.cc), ("bcc", mail.bcc)):
        if copies:
            body[name] = list(map(_named, copies))
    if mail.reply_to is not None:
        body["replyTo"] = named(mail.reply_to)
    if mail.attached:
        body["attachment"] = [{"name": file.filename, "content": in_base64(file.content)} for file in mail.attached]
    headers = {"Content-Type": "application/json", "Accept": "application/json", "api-key": account.secret}
    return Request(f"{account.url}/v3/smtp/email", headers, orjson.dumps(body))


def judge(answer: Answer, blamed: type[Undelivered]) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status // 100 == 2:
        return taken(answer, said.get("messageId"))
    code, text = str(said.get("code", "")), str(said.get("message") or words(answer))
    if code == "invalid_parameter" and "sender" in unquoted(text).lower():
        raise refusal(answer, f"{code}: {text}", blamed, {code: blamed}, code)
    raise refusal(answer, f"{code}: {text}" if code else text, blamed, _CODES, code)


def _faults(mail: Fields) -> Iterator[str]:
    """Yield the features of the mail that this API lacks. It would drop or garble them silently."""
    for name, value in mail.headers.items():
        if not name.lower().startswith("x-"):
            yield f"the mail has the header {name}, which is not an X- header"
        if "=?" in value:
            yield f"the header {name} has characters that are not ASCII"
    for file in mail.attached:
        if file.content_id:
            yield f"{file.filename} is an image inside the HTML"
        if not EXTENSIONS.fullmatch(file.filename) or not file.filename.isascii():
            yield f"the name of the attachment {file.filename} is not ASCII with an extension that Brevo knows"
    if mail.reply_to is not None and not mail.reply_to.name.isascii():
        yield "the name in replyTo is not ASCII"


def _named(one: Mailbox) -> dict[str, str]:
    # Brevo leaves out a name that is not ASCII and has a special character, unless it is encoded.
    return named(Mailbox(encoded_name(one.name) if SPECIAL.search(one.name) else one.name, one.address))


def _as_html(text: str) -> str:
    return f'<div style="white-space:pre-wrap">{html.escape(text)}</div>'
