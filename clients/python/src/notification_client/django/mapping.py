"""Django's EmailMessage as fields of a notification. Whatever the API cannot carry is refused, never left out."""

from __future__ import annotations

from email.utils import getaddresses
from typing import Any, cast

from django.core.mail import EmailMessage

from notification_client.django.attachments import NotCarried, attachments
from notification_client.fields import NewNotification

KEY = "idempotency-key"


def fields_of(message: EmailMessage) -> NewNotification:
    """Return the fields of this message, and those of its attribute `notification_fields`; raise NotCarried."""
    if type(message).message is not EmailMessage.message:
        raise NotCarried(f"{type(message).__name__}.message() builds a mail of its own, which cannot be carried")
    headers = {name.lower(): (name, str(value)) for name, value in message.extra_headers.items()}
    fields: dict[str, Any] = {
        "type": "email",
        **_recipients(message),
        "subject": str(message.subject),
        "sender": _taken(headers, "from") or str(message.from_email),
        "reply_to": _reply_to(message, headers),
        "idempotency_key": _taken(headers, KEY),
        **_unsubscribe(headers),
        **_texts(message),
        "attachments": attachments(message) or None,
        "headers": _rest(headers) or None,
        **getattr(message, "notification_fields", {}),
    }
    return cast(NewNotification, {name: value for name, value in fields.items() if value is not None})


def _recipients(message: EmailMessage) -> dict[str, Any]:
    """Return the first of `to` as the recipient; the API has one, so the others become cc, where all see them too."""
    to, cc, bcc = (list(map(str, given or [])) for given in (message.to, message.cc, message.bcc))
    if not to:
        raise NotCarried("the message has no `to`: a notification needs a recipient, bcc alone is not enough")
    parsed = getaddresses([to[0]])
    if len(parsed) != 1 or not parsed[0][1]:
        raise NotCarried("the first entry of `to` is not one address")
    [(name, address)] = parsed
    return {
        "recipient": address,
        "recipient_name": name or None,
        "cc": to[1:] + cc or None,
        "bcc": bcc or None,
    }


def _reply_to(message: EmailMessage, headers: dict[str, tuple[str, str]]) -> str | None:
    header = _taken(headers, "reply-to")
    addresses = [header] if header else list(map(str, message.reply_to or []))
    if len(addresses) > 1:
        raise NotCarried("the message has several addresses in reply_to; the API carries one")
    return addresses[0] if addresses else None


def _unsubscribe(headers: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Return one-click unsubscription (RFC 8058), if the message has its two headers."""
    if "list-unsubscribe" not in headers:
        return {}
    url = headers["list-unsubscribe"][1].strip().removeprefix("<").removesuffix(">")
    if not url.startswith("https://") or "," in url or "list-unsubscribe-post" not in headers:
        raise NotCarried("List-Unsubscribe is carried as one https URL, together with List-Unsubscribe-Post (RFC 8058)")
    del headers["list-unsubscribe"], headers["list-unsubscribe-post"]
    return {"unsubscribe": {"url": url}}


def _texts(message: EmailMessage) -> dict[str, str]:
    alternatives = [(str(content), str(kind)) for content, kind in getattr(message, "alternatives", None) or []]
    if message.content_subtype != "plain":
        raise NotCarried(
            f"the body is text/{message.content_subtype}: give a plain text as the body, "
            "and HTML with attach_alternative(html, 'text/html')"
        )
    if [kind for _, kind in alternatives] not in ([], ["text/html"]):
        raise NotCarried("the message has other alternatives than one of text/html")
    texts = {"message": str(message.body)}
    return texts | {"html": alternatives[0][0]} if alternatives else texts


def _taken(headers: dict[str, tuple[str, str]], name: str) -> str | None:
    return headers.pop(name)[1] if name in headers else None


def _rest(headers: dict[str, tuple[str, str]]) -> dict[str, str]:
    for name in ("to", "cc", "bcc"):
        if name in headers:
            raise NotCarried(f"the header {headers[name][0]} cannot differ from the recipients: leave it out")
    return dict(headers.values())
