"""What others have written: in a frame of its own, without scripts, and without reaching anything."""

from __future__ import annotations

import re

from falcon.asgi import Response

from api.dashboard.page import HTML

# It may style itself and show what it brought along. No script, no form, nothing from elsewhere: who
# reads somebody's mail here must not tell its sender so.
POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox"
)
# Elements for which a browser may open a connection before it asks the policy (frames, hints of `link`, a refresh of
# `meta`), or that have no use here. A tag begins with these letters and nothing else, however it is written: neither
# character references nor NUL make one (WHATWG HTML, 13.2.5.8), so to rename what looks like one leaves none.
# `animate` and `set` would give a link its target later.
_REACHING = (
    "iframe|frame|frameset|fencedframe|portal|object|embed|applet|param|webview|link|meta|base|form|isindex"
    "|video|audio|source|track|bgsound|animate|set"
)
_TAG = re.compile(rf"(</?)(?=(?:{_REACHING})(?![^\s/>]))", re.IGNORECASE)
# Over a link a browser may connect ahead of a click, and `ping` tells of one.
_TARGET = re.compile(r"(?<=[\s/\"'])(?=(?:xlink:)?(?:href|ping|action|formaction|srcset|poster)[\s]*=)", re.IGNORECASE)
_NONE = b"<!doctype html><title>No HTML</title><p>It has no HTML part.</p>"


def frame(resp: Response, content: str | bytes | None, media_type: str = HTML) -> None:
    """Answer with the content of a frame."""
    resp.content_type = media_type
    resp.set_header("Content-Security-Policy", POLICY)
    resp.set_header("X-Frame-Options", "SAMEORIGIN")
    resp.set_header("X-DNS-Prefetch-Control", "off")
    resp.data = unreaching(content).encode() if isinstance(content, str) else content or _NONE


def unreaching(html: str) -> str:
    """Return the HTML with every element and attribute renamed for which a browser may connect to anybody."""
    return _TARGET.sub("data-", _TAG.sub(r"\1x-", html))
