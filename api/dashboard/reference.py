"""Serve /docs: the API reference in the browser, which can also send requests with a key that a person types."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.dashboard.answers import POLICY
from api.dashboard.page import HTML, render

# The styles of Swagger UI contain its icons.
REFERENCE_POLICY = POLICY.replace("img-src 'self'", "img-src 'self' data:")


class Reference:
    """GET: Swagger UI on /openapi.json. It needs no session."""

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.set_header("Content-Security-Policy", REFERENCE_POLICY)
        resp.content_type = HTML
        resp.text = render("reference.html")

    on_head = on_get
