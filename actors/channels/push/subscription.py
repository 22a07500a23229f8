"""Keys of a browser's push subscription (RFC 8291, section 3.1), as `PushSubscription.toJSON()` gives them."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from typing import NamedTuple

# The curve P-256 (FIPS 186-4, D.1.2.3): y**2 = x**3 - 3 * x + _B, modulo _P.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


class Keys(NamedTuple):
    """Public key of the browser (an uncompressed point on P-256, 65 bytes), and its secret for this subscription."""

    public: bytes
    auth: bytes


def public_key(text: str) -> bytes:
    """Return the public key that `p256dh` holds.

    Raises:
        ValueError: It is none. The text continues a sentence that begins with the field's name.
    """
    point = _decoded(text)
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    if len(point) != 65 or point[0] != 4 or max(x, y) >= _P or (y * y - x * x * x + 3 * x - _B) % _P:
        raise ValueError("must be the key p256dh of the subscription: a point on P-256, 65 bytes in base64url")
    return point


def auth_secret(text: str) -> bytes:
    """Return the secret that `auth` holds; see `public_key`."""
    secret = _decoded(text)
    if len(secret) != 16:
        raise ValueError("must be the key auth of the subscription: 16 bytes in base64url")
    return secret


def _decoded(text: str) -> bytes:
    if not _BASE64URL.fullmatch(text):
        return b""
    try:
        return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except binascii.Error:
        return b""
