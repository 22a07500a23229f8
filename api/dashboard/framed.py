"""What others have written: in a frame of its own, without scripts, and without reaching anything."""

from __future__ import annotations

from falcon.asgi import Response

from api.dashboard.page import HTML

# It may style itself and show what it brought along. No script, no form, nothing from elsewhere: who
# reads somebody's mail here must not tell its sender so.
POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox"
)
_NONE = b"<!doctype html><title>No HTML</title><p>It has no HTML part.</p>"


def frame(resp: Response, content: str | bytes | None, media_type: str = HTML) -> None:
    """Answer with the content of a frame."""
    resp.content_type = media_type
    resp.set_header("Content-Security-Policy", POLICY)
    resp.set_header("X-Frame-Options", "SAMEORIGIN")
    resp.data = content.encode() if isinstance(content, str) else content or _NONE
