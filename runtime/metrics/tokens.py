"""Check of METRICS_TOKEN, which a scraper sends."""

from __future__ import annotations

import hmac


def is_token(authorization: str, token: str) -> bool:
    """Return whether the Authorization header contains the token. The comparison takes constant time."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip(" ").encode(errors="replace"), token.encode())
