"""Tokens that prove that a report is about a notification of ours.

A token is the id of a notification and its HMAC, 32 characters in base32 (RFC 4648), which mail systems may fold to
upper case. It travels in the return path, in the ENVID (RFC 3461), or in a field of the provider. Only those who have
seen the mail know it, so a report without it, or with one that does not verify, changes nothing.
"""

from __future__ import annotations

import base64
import hmac
import re
import struct
from collections.abc import Iterator, Sequence

from runtime.keyed_hash import hmac_sha256

LENGTH = 32  # characters
_ID = struct.Struct(">q")  # bigint
SHOWN = 12  # octets of the HMAC
_PURPOSE = b"report 1:"
_IN_ADDRESS = re.compile(rf"\bb\+([a-z2-7]{{{LENGTH}}})@", re.IGNORECASE | re.ASCII)
_BARE = re.compile(rf"[a-z2-7]{{{LENGTH}}}", re.IGNORECASE | re.ASCII)


def token(notification: int, key: bytes) -> str:
    """Return the token of a notification."""
    return written(notification, digest(notification, key))


def digest(notification: int, key: bytes) -> bytes:
    """Return the 32 octets of the HMAC of a notification. The token shows the first SHOWN of them."""
    return hmac_sha256(key, _PURPOSE + _ID.pack(notification))


def written(notification: int, digest: bytes) -> str:
    """Return the token of a notification whose digest is known."""
    return base64.b32encode(_ID.pack(notification) + digest[:SHOWN]).decode().lower()


def return_path(token: str, domain: str) -> str:
    """Return the address to which reports about a mail are sent (VERP)."""
    return f"b+{token}@{domain}"


def notification_of(given: str, keys: Sequence[bytes]) -> int | None:
    """Return the notification of a token; None if none of the keys has made it."""
    if not is_token(given):
        return None
    octets = base64.b32decode(given.upper())
    notification, signature = int(_ID.unpack_from(octets)[0]), octets[_ID.size :]
    if not any(hmac.compare_digest(signature, digest(notification, key)[:SHOWN]) for key in keys):
        return None
    return notification


def is_token(text: str) -> bool:
    """Return whether a text looks like a token. It is not verified."""
    return _BARE.fullmatch(text) is not None


def in_addresses(text: str) -> Iterator[str]:
    """Yield the tokens in the return paths that a text holds."""
    for found in _IN_ADDRESS.finditer(text):
        yield found[1].lower()
