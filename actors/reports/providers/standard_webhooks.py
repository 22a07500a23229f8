"""Verification of requests that are signed as Standard Webhooks 1.0 or, with other names of headers, by Svix."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import timedelta

from actors.reports.providers import proof
from actors.reports.providers.received import Forged, Received
from runtime.keyed_hash import hmac_sha256

PREFIX = "whsec_"
_ID = re.compile(r"[!-~]{1,200}")
TOLERANCE = timedelta(minutes=5)  # each repetition is signed anew


def verified_id(received: Received, keys: Iterable[str]) -> str:
    """Return the id of the message, which repetitions share; raise Forged unless one of the keys has signed it."""
    id, timestamp, signatures = (
        received.header(f"svix-{name}") or received.header(f"webhook-{name}")
        for name in ("id", "timestamp", "signature")
    )
    if not _ID.fullmatch(id) or not signatures:
        raise Forged("the id or the signature is missing")
    proof.check_seconds(timestamp, received.at, TOLERANCE)
    content = f"{id}.{timestamp}.".encode() + received.body
    expected = [f"v1,{_signature(key, content)}" for key in keys]
    given = signatures.split()[:10]
    if not any(proof.same(one, expected) for one in given):
        raise Forged("the signature is wrong")
    return id


def _signature(key: str, content: bytes) -> str:
    return b64encode(hmac_sha256(b64decode(key.removeprefix(PREFIX)), content)).decode()
