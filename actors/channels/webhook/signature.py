"""Sign callbacks with the symmetric scheme of Standard Webhooks 1.0 (https://www.standardwebhooks.com)."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable

from runtime.keyed_hash import hmac_sha256

PREFIX = "whsec_"
SECRET_BYTES = 32  # the standard allows 24 to 64


def new_secret() -> str:
    """Return a new random secret."""
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(id: str, timestamp: int, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """Return the three headers of an attempt, with a signature for each key. `timestamp`: seconds since 1970."""
    content = f"{id}.{timestamp}.".encode() + body
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(key, content)}" for key in keys),
    }


def _signature(key: str, content: bytes) -> str:
    return b64encode(hmac_sha256(b64decode(key.removeprefix(PREFIX)), content)).decode()
