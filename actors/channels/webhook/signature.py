"""Signatures of callbacks: Standard Webhooks 1.0 (https://www.standardwebhooks.com), symmetric."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32  # the standard asks for 24 to 64


def new_secret() -> str:
    """A secret that nobody has had before."""
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(id: str, timestamp: int, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """The three headers of one attempt; `timestamp` in seconds since 1970, a signature for each of `keys`."""
    content = f"{id}.{timestamp}.".encode() + body
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(key, content)}" for key in keys),
    }


def _signature(key: str, content: bytes) -> str:
    return b64encode(hmac.digest(b64decode(key.removeprefix(PREFIX)), content, "sha256")).decode()
