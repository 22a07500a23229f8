"""Verification of callbacks (Standard Webhooks 1.0, https://www.standardwebhooks.com)."""

from __future__ import annotations

import binascii
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notification_client.decoding import Model
from notification_client.errors import InvalidSignature, UnexpectedAnswer
from notification_client.models import Notification

PREFIX = "whsec_"
TOLERANCE = 300  # seconds


@dataclass(frozen=True, kw_only=True)
class CallbackEvent(Model):
    """A genuine callback. Every delivery of it has the same `id`: use it to ignore repetitions.

    `notification` is None if the callback is not about one: ignore types that you do not know.
    """

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]
    notification: Notification | None = None


def verify_callback(secret: str | Iterable[str], headers: Mapping[str, str], body: bytes) -> CallbackEvent:
    """Return the callback with this raw body; raise InvalidSignature if it is not genuine or not recent.

    `secret` may be several, while a secret is rotated. `headers` may have names in any case.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        id, sent_at, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as missing:
        raise InvalidSignature(f"the header {missing} is missing") from None
    if not (sent_at.isascii() and sent_at.isdecimal() and abs(time.time() - int(sent_at)) <= TOLERANCE):
        raise InvalidSignature(f"webhook-timestamp is not within {TOLERANCE} seconds of this machine's clock")
    signed = f"{id}.{sent_at}.".encode(errors="surrogateescape") + body
    secrets = [secret] if isinstance(secret, str) else list(secret)
    expected = [_signature(one, signed) for one in secrets]
    given_ones = [one.encode(errors="surrogateescape") for one in signatures.split()]
    if not any(hmac.compare_digest(one, other) for one in expected for other in given_ones):
        raise InvalidSignature("no signature in webhook-signature belongs to the secret and the body")
    try:
        document = json.loads(body)
        about_one = document["type"].startswith("notification.")
        return CallbackEvent.read({**document, "id": id, "notification": document["data"] if about_one else None})
    except (AttributeError, KeyError, TypeError, ValueError, UnexpectedAnswer) as error:
        raise InvalidSignature("the body is signed, but it is not that of a callback") from error


def _signature(secret: str, signed: bytes) -> bytes:
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError(f"the secret of a callback endpoint begins with {PREFIX} and continues in base64")
    return b"v1," + b64encode(hmac.digest(key, signed, "sha256"))
