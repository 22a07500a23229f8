"""HTML that others have written: in a frame of its own, without scripts, and without reaching anything."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.dashboard.page import HTML

# Styles within it are its own business; whatever it would fetch would tell somebody that it was looked at.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'; base-uri 'none'"
)
_NONE = "<!doctype html><title>No HTML</title><p>It has no HTML part.</p>"


def frame(_req: Request, resp: Response, html: str | None) -> None:
    """Answer with the content of a frame."""
    resp.content_type = HTML
    resp.set_header("Content-Security-Policy", POLICY)
    resp.set_header("X-Frame-Options", "SAMEORIGIN")
    resp.text = html or _NONE
