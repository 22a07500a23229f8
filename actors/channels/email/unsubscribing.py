"""Where a recipient unsubscribes with one click (RFC 8058): an address that names a notification and nothing else.

It holds no mail address and no client, and nobody can make one up: its second half is an HMAC under
UNSUBSCRIBE_SECRET. It has no end, because a mail has none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

from settings import Settings

PATH = "/u/"
_ID = struct.Struct(">q")  # bigint
_SIGNATURE = 16  # octets: 128 bits, as short as RFC 2104, 5 allows for SHA-256
_PURPOSE = b"unsubscribe 1:"


def url(notification: int, settings: Settings) -> str | None:
    """The URL for `List-Unsubscribe` of a notification that asked for it; None where PUBLIC_URL is not set.

    With it belongs `List-Unsubscribe-Post: List-Unsubscribe=One-Click`, and both must be signed by DKIM.
    """
    if not settings.public_url:
        return None
    return f"{settings.public_url.rstrip('/')}{PATH}{token(notification, settings)}"


def token(notification: int, settings: Settings) -> str:
    """The last part of the URL."""
    id = _ID.pack(notification)
    return base64.urlsafe_b64encode(id + _signature(id, settings)).decode()


def notification_of(token: str, settings: Settings) -> int | None:
    """The id that we have put into a token; None for one that is not ours."""
    try:
        octets = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    id, given = octets[: _ID.size], octets[_ID.size :]
    if not settings.unsubscribe_secret or not hmac.compare_digest(given, _signature(id, settings)):
        return None
    return int(_ID.unpack(id)[0])


def _signature(id: bytes, settings: Settings) -> bytes:
    return hmac.digest(settings.unsubscribe_secret.encode(), _PURPOSE + id, hashlib.sha256)[:_SIGNATURE]
