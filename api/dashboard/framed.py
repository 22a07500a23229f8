"""Show HTML that others wrote, in a frame that runs no scripts and connects to nothing."""

from __future__ import annotations

import re

from falcon.asgi import Request, Response

from api.dashboard.page import HTML

# Only inline styles and data: URLs. Nothing is loaded from elsewhere, or the sender of a mail
# would learn that somebody reads it here.
POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox"
)
# Elements for which a browser may open a connection before it applies the policy (frames, hints of `link`, a refresh by
# `meta`), or that have no use here. Renaming is safe, because tag names are literal characters: no character reference
# or NUL can spell one (WHATWG HTML, 13.2.5.8). `animate` and `set` could set the target of a link later.
_REACHING = (
    "iframe|frame|frameset|fencedframe|portal|object|embed|applet|param|webview|link|meta|base|form|isindex"
    "|video|audio|source|track|bgsound|animate|set"
)
_TAG = re.compile(rf"(</?)(?=(?:{_REACHING})(?![^\s/>]))", re.IGNORECASE)
# A browser may connect to the target of a link before a click, and `ping` reports a click.
_TARGET = re.compile(r"(?<=[\s/\"'])(?=(?:xlink:)?(?:href|ping|action|formaction|srcset|poster)[\s]*=)", re.IGNORECASE)
WIDTHS = ("desktop", "phone")
_NONE = b"<!doctype html><title>No HTML</title><p>This mail has no HTML part.</p>"


def frame(resp: Response, content: str | bytes | None, media_type: str = HTML) -> None:
    """Answer with the content of a frame."""
    resp.content_type = media_type
    resp.set_header("Content-Security-Policy", POLICY)
    resp.set_header("X-Frame-Options", "SAMEORIGIN")
    resp.set_header("X-DNS-Prefetch-Control", "off")
    resp.data = unreaching(content).encode() if isinstance(content, str) else content or _NONE


def width_of(req: Request) -> str | None:
    """Return the width in which the frame is to be shown alone; None: beside the rest of the page."""
    asked = req.params.get("width")
    return asked if asked in WIDTHS else None


def unreaching(html: str) -> str:
    """Return the HTML with all elements and attributes renamed that can make a browser connect."""
    return _TARGET.sub("data-", _TAG.sub(r"\1x-", html))
