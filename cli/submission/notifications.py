"""A mail as notifications, with the idempotency key that makes it safe to repeat."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from cli.submission import headers, mail, parts, recipients
from cli.submission.refusal import MailRefused

_KEY = re.compile(r"[\x21\x23-\x7e][\x20-\x7e]{0,254}")


class Notifications(NamedTuple):
    """Body of a request that stores all of them or none: one document, or a batch."""

    body: bytes
    number: int
    key: str


def read(content: bytes, envelope: Sequence[str]) -> Notifications:
    """Return the notifications that a mail to these recipients becomes. Raises MailRefused."""
    parsed = mail.parse(content)
    fields = {"type": "email", **headers.fields(parsed), **parts.fields(parsed)}
    documents = [fields | whom for whom in recipients.addressed(parsed, envelope)]
    try:
        body = orjson.dumps(documents[0] if len(documents) == 1 else {"items": documents}, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise MailRefused("The mail has characters that are not Unicode: send it in UTF-8") from None
    key = headers.only(parsed, headers.KEY) or _key(headers.message_id(parsed), body)
    if not _KEY.fullmatch(key):
        raise MailRefused(f"{headers.KEY} must have 1 to 255 printable ASCII characters and not begin with a quote")
    return Notifications(body, len(documents), key)


def _key(message_id: str, body: bytes) -> str:
    """Return a key that is the same when a client sends the mail again because it got no answer.

    The Message-ID alone would not do: some programs use one for many mails. Without a Message-ID, two equal mails are
    two mails; their keys only let this server repeat a request of its own.
    """
    if not message_id:
        return f"smtp-{uuid.uuid4()}"
    return "smtp-" + hashlib.sha256(message_id.encode() + b"\0" + body).hexdigest()
