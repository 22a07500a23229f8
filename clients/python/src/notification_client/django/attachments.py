"""Attachments of Django's EmailMessage as attachments of a notification."""

from __future__ import annotations

import mimetypes
from email.message import Message
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage

from notification_client.errors import NotificationError
from notification_client.fields import BINARY, Attachment

# Headers of a part that say no more than the fields of an attachment.
CARRIED = {"content-type", "content-transfer-encoding", "content-disposition", "content-id", "mime-version"}
CARRIED |= {"x-attachment-id"}


class NotCarried(NotificationError):
    """The message has something that the notification system cannot carry; the text says what to change."""


def attachments(message: EmailMessage) -> list[Attachment]:
    """Return the attachments of a message; raise NotCarried."""
    charset = message.encoding or settings.DEFAULT_CHARSET
    return [
        _part(file, number) if isinstance(file, Message) else _file(*file, number=number, charset=str(charset))
        for number, file in enumerate(message.attachments, 1)
    ]


def _file(filename: str | None, content: Any, kind: str | None, *, number: int, charset: str) -> Attachment:
    kind = kind or (filename and mimetypes.guess_type(filename)[0]) or BINARY
    if isinstance(content, str):
        content = content.encode(charset)
        kind = f"{kind}; charset={charset}" if kind.startswith("text/") else kind
    elif isinstance(content, EmailMessage):
        content = content.message().as_bytes()
    elif isinstance(content, Message):
        content = content.as_bytes()
    return Attachment(filename or _name(number, kind), bytes(content), kind)


def _part(part: Message, number: int) -> Attachment:
    name = part.get_filename() or _name(number, part.get_content_type())
    content = part.get_payload(decode=True)
    if part.is_multipart() or not isinstance(content, bytes):
        raise NotCarried(f"the attachment {name} is itself of several parts, which cannot be carried")
    if lost := {header.lower() for header, _ in part.items()} - CARRIED:
        raise NotCarried(f"the attachment {name} has headers that cannot be carried: {', '.join(sorted(lost))}")
    content_id = str(part["Content-ID"]).strip().removeprefix("<").removesuffix(">") if part["Content-ID"] else None
    if part.get_content_disposition() == "inline" and content_id is None:
        raise NotCarried(f"the attachment {name} is inline without a Content-ID: give it one, or attach it")
    charset = part.get_content_charset()
    kind = part.get_content_type() if charset is None else f"{part.get_content_type()}; charset={charset}"
    return Attachment(name, content, kind, content_id)


def _name(number: int, kind: str) -> str:
    """Return a name for a file without one; the API wants every file to have one."""
    return f"attachment-{number}{mimetypes.guess_extension(kind.partition(';')[0]) or '.bin'}"
