"""Header fields of a mail as fields of a notification."""

from __future__ import annotations

import re
from email.message import Message
from typing import Any

from cli.submission.mail import text_of, unfolded
from cli.submission.recipients import mailbox
from cli.submission.refusal import MailRefused

KEY = "X-Idempotency-Key"
# Of the way to this server and of the mail's form: the service writes its own. docs/smtp_submission.md lists them.
OWN = {
    *("date", "message-id", "mime-version", "received", "return-path", "delivered-to", "authentication-results"),
    *("received-spf", "dkim-signature", "bcc"),
}
OWN_BELOW = ("content-", "arc-")
READ = {"from", "to", "cc", "reply-to", "subject", "x-tag", "x-priority", KEY.lower()}
PRIORITIES = {"1": "high", "2": "high", "3": "normal", "4": "bulk", "5": "bulk", "low": "bulk"}
PRIORITIES |= {name: name for name in ("high", "normal", "bulk")}
# What the service writes into each mail.
AUTOMATIC = "auto-generated"
ONE_CLICK = "list-unsubscribe=one-click"
_HTTPS = re.compile(r"<(https://[^<>\s]+)>")
METADATA_LIMIT = 500  # characters of a value


def fields(mail: Message) -> dict[str, Any]:
    """Return the fields of a notification that come from the header, without recipients. Raises MailRefused.

    A header field that has no field in the API is in `headers`, where the API refuses those that it does not allow.
    """
    kept: dict[str, Any] = {
        "from": mailbox(mail, "From"),
        "replyTo": mailbox(mail, "Reply-To"),
        "subject": only(mail, "Subject"),
        "priority": _priority(only(mail, "X-Priority")),
        "tags": _tags(mail),
        "metadata": _metadata(mail),
    }
    headers = _others(mail)
    if url := _unsubscribe(headers):
        kept["unsubscribe"] = {"url": url}
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("list-unsubscribe")}
    kept["headers"] = headers
    return {name: value for name, value in kept.items() if value}


def only(mail: Message, name: str) -> str:
    """Return the text of a header field that may be given once, "" without it. Raises MailRefused."""
    values = mail.get_all(name, [])
    if len(values) > 1:
        raise MailRefused(f"The header field {name} is given {len(values)} times")
    return text_of(values[0], name) if values else ""


def _others(mail: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in mail.items():
        key = name.lower()
        if key in OWN or key in READ or key.startswith(OWN_BELOW):
            continue
        text = text_of(value, name)
        if key == "auto-submitted" and text.lower() == AUTOMATIC:
            continue
        if key in map(str.lower, found):
            raise MailRefused(f"The header field {name} is given more than once")
        # Lists of message ids may be folded anywhere.
        found[name] = " ".join(text.split()) if key in ("references", "in-reply-to") else text
    return {name: text for name, text in found.items() if text}


def _priority(text: str) -> str:
    if not text:
        return ""
    word = text.split(maxsplit=1)[0].lower()
    if word not in PRIORITIES:
        raise MailRefused("X-Priority must be high, normal or bulk, or a number from 1 to 5")
    return PRIORITIES[word]


def _tags(mail: Message) -> list[str]:
    written = [tag.strip() for value in mail.get_all("X-Tag", []) for tag in text_of(value, "X-Tag").split(",")]
    return list(dict.fromkeys(tag for tag in written if tag))


def _metadata(mail: Message) -> dict[str, str]:
    """Return the Message-ID of the mail, by which its sender can find the notification."""
    id = message_id(mail)
    return {"messageId": id} if 0 < len(id) <= METADATA_LIMIT else {}


def message_id(mail: Message) -> str:
    """Return the Message-ID, "" without one. Raises MailRefused."""
    values = mail.get_all("Message-ID", [])
    return unfolded(values[0], "Message-ID") if values else ""


def _unsubscribe(headers: dict[str, str]) -> str:
    """Return the URL of a one-click unsubscription (RFC 8058); "" if the fields say less, or more."""
    named = {name.lower(): value for name, value in headers.items()}
    url = _HTTPS.fullmatch(named.get("list-unsubscribe", ""))
    return url[1] if url and named.get("list-unsubscribe-post", "").lower() == ONE_CLICK else ""
