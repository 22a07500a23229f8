"""URLs for unsubscribing with one click (RFC 8058).

A URL contains the id of a notification and its HMAC under UNSUBSCRIBE_SECRET, so that it cannot be forged. It contains
no mail address and no client. It never expires, because a mail does not.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct

from runtime.keyed_hash import hmac_sha256
from settings.public import PublicSettings

PATH = "/u/"
_ID = struct.Struct(">q")  # bigint
_SIGNATURE = 16  # octets; RFC 2104, section 5 requires at least half of SHA-256's 32
_PURPOSE = b"unsubscribe 1:"


def url(notification: int, settings: PublicSettings) -> str | None:
    """Return the URL for the `List-Unsubscribe` header of a notification; None if PUBLIC_URL is not set.

    The mail also needs `List-Unsubscribe-Post: List-Unsubscribe=One-Click`, and a DKIM signature over both headers.
    """
    if not settings.url:
        return None
    return f"{settings.url.rstrip('/')}{PATH}{token(notification, settings)}"


def token(notification: int, settings: PublicSettings) -> str:
    """Return the last segment of the URL's path."""
    id = _ID.pack(notification)
    return base64.urlsafe_b64encode(id + _signature(id, settings)).decode()


def notification_of(token: str, settings: PublicSettings) -> int | None:
    """Return the notification id in a token; None if the token is not valid."""
    try:
        octets = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    id, given = octets[: _ID.size], octets[_ID.size :]
    if not settings.unsubscribe_secret or not hmac.compare_digest(given, _signature(id, settings)):
        return None
    return int(_ID.unpack(id)[0])


def _signature(id: bytes, settings: PublicSettings) -> bytes:
    return hmac_sha256(settings.unsubscribe_secret.encode(), _PURPOSE + id)[:_SIGNATURE]
