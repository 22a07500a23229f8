"""METRICS_TOKEN, which a scraper shows."""

from __future__ import annotations

import hmac


def is_token(authorization: str, token: str) -> bool:
    """Return whether a header Authorization brings METRICS_TOKEN; it takes as long for each that does not."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip(" ").encode(errors="replace"), token.encode())
