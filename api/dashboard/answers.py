"""Set the headers of every page, and show Problems as pages."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from falcon.asgi import Request, Response

from api import dashboard
from api.dashboard import page
from api.http import problems

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(
            f"{kind} 'self'"
            for kind in ("script-src", "style-src", "img-src", "connect-src", "frame-src", "form-action")
        ),
        *(f"{kind} 'none'" for kind in ("frame-ancestors", "base-uri")),
    )
)
# Defaults; a page may set its own.
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def finish(req: Request, resp: Response) -> None:
    """Turn a problem document into a page, and set the headers."""
    if resp.content_type == problems.MEDIA_TYPE:
        _explain(req, resp)
    for name, value in _HEADERS.items():
        if resp.get_header(name) is None:
            resp.set_header(name, value)


def is_browser_without_page(req: Request, resp: Response) -> bool:
    """Return whether a browser has asked for a page at a path that is neither the dashboard's nor the API's."""
    unknown = req.uri_template is None and resp.content_type == problems.MEDIA_TYPE
    return unknown and "text/html" in req.accept and dashboard.section(req.path) not in dashboard.API_SECTIONS


def show_missing_page(req: Request, resp: Response) -> None:
    """Answer with the page 404, which links to the overview."""
    resp.status = HTTPStatus.NOT_FOUND.value
    resp.delete_header("WWW-Authenticate")
    finish(req, resp)


def again(req: Request, resp: Response) -> None:
    """Show a page that requests the same address again, so that the browser sends the cookie."""
    page.show(req, resp, "again.html", target=req.path)


def _explain(req: Request, resp: Response) -> None:
    """Show a problem document as a page."""
    told = orjson.loads(resp.data or b"{}")
    if req.uri_template is None and resp.status_code == HTTPStatus.NOT_FOUND:
        told["detail"] = "There is no page at this address."
    resp.data = None
    status = HTTPStatus(resp.status_code)
    page.show(req, resp, "problem.html", title=problems.title(status), status=status.value, problem=told)
