"""Files in a caught mail: the parts that are neither its text nor its HTML."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

from api.dashboard.images import MOST, Image, in_place, kind_of
from api.dashboard.mailbox import content


def files(mail: EmailMessage) -> list[EmailMessage]:
    """Return the parts of a mail that are files, in order."""
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    # An attached mail is a file as a whole.
    parts = [part for part in mail.walk() if not part.is_multipart()]
    return [part for part in parts if all(part is not body for body in bodies)]


def listed(mail: EmailMessage) -> list[dict[str, Any]]:
    """Return what a page shows of each file: filename, contentType, size, and whether it is an image."""
    return [
        {
            "filename": part.get_filename() or "(no name)",
            "contentType": part.get_content_type(),
            "size": len(octets(part)),
            "image": kind_of(part.get_content_type()) is not None,
        }
        for part in files(mail)
    ]


def octets(part: EmailMessage) -> bytes:
    """Return the decoded content of a part."""
    raw: Any = part.get_payload(decode=True)
    return raw if isinstance(raw, bytes) else b""


def html(mail: EmailMessage) -> str | None:
    """Return the HTML of a mail with its inline images, up to MOST bytes of them in all."""
    text: str | None = content(mail)["html"]
    return text and in_place(text, _images(mail))


def _images(mail: EmailMessage) -> list[Image]:
    images, room = [], MOST
    for part in files(mail):
        name, kind = str(part.get("Content-ID", "")).strip().strip("<>"), kind_of(part.get_content_type())
        if name and kind and len(raw := octets(part)) <= room:
            room -= len(raw)
            images.append(Image.of(name, kind, raw))
    return images
