"""Sign requests to AWS (Signature Version 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlsplit

from actors.channels.http_api import Request
from runtime.keyed_hash import hmac_sha256
from settings.http_account import HttpAccount

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(request: Request, account: HttpAccount, service: str, now: datetime) -> Request:
    """Return a POST request with the headers Host, X-Amz-Date and Authorization. `now` is in UTC.

    The URL has no query, and its path has no dot segments.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {**request.headers, "Host": urlsplit(request.url).netloc, "X-Amz-Date": stamp}
    canonical, names = _canonical(request.url, headers, request.body)
    scope = f"{stamp[:8]}/{account.region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, stamp, scope, _hash(canonical.encode())))
    signature = hmac_sha256(_key(account, stamp[:8], service), to_sign.encode()).hex()
    credential = f"Credential={account.key}/{scope}"
    authorization = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    return replace(request, headers={**headers, "Authorization": authorization})


def _canonical(url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """Return the canonical request, and the names of the signed headers."""
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in lines)
    canonical = (
        *("POST", quote(urlsplit(url).path or "/", safe="/-_.~"), ""),
        *("".join(f"{name}:{value}\n" for name, value in lines), names, _hash(body)),
    )
    return "\n".join(canonical), names


def _key(account: HttpAccount, day: str, service: str) -> bytes:
    key = f"AWS4{account.secret}".encode()
    for part in (day, account.region, service, "aws4_request"):
        key = hmac_sha256(key, part.encode())
    return key


def _hash(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
