"""The target of a request: its four forms (RFC 9112, 3.2), and the path prefix that a proxy may put before it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from falcon.asgi import Request, Response

from api import dashboard
from api.problems import Problem
from settings import Settings

REFUSED = "notification-system.refused"  # in the scope: why no resource can be found for the target
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# First segments of our own paths: a prefix that begins like one of them cannot be told from it.
SEGMENTS = dashboard.SECTIONS | {"api", "u", "healthz", "readyz", "metrics", "openapi.json"}

_HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
_ABSOLUTE = re.compile(rb"(?:http|https)://(%b)(/.*)?\Z" % _HOST, re.IGNORECASE)


class Targets:
    """Brings every target into the form that resources are found by: a path of ours.

    PUBLIC_URL's path is the prefix. Requests are taken with and without it, as the proxy strips it or not, and
    links of ours begin with it.
    """

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.path_prefix
        # A prefix like /api must have been stripped by the proxy.
        strips = self._prefix and unquote(self._prefix).split("/")[1] not in SEGMENTS
        self._stripped = unquote(self._prefix) if strips else ""

    def normalize(self, scope: dict[str, Any]) -> None:
        """Change the scope of a request before it is looked at."""
        if not scope["path"].startswith("/"):
            _to_origin_form(scope)
        path, prefix = scope["path"], self._stripped
        if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            scope["path"] = path[len(prefix) :] or "/"
        # Resources are found without regard to it, so it would lead past what goes by the beginning of a path.
        if scope["path"].startswith("//"):
            detail = "There is nothing at this address: its path begins with two slashes, leave one out."
            scope[REFUSED] = HTTPStatus.NOT_FOUND, detail

    async def process_request(self, req: Request, resp: Response) -> None:
        """Answer for targets that stand for no resource."""
        if refused := req.scope.get(REFUSED):
            raise Problem(*refused)
        if req.path == "*":  # Of the server as a whole (RFC 9110, 9.3.7); gunicorn takes it with OPTIONS only.
            resp.status = HTTPStatus.NO_CONTENT.value
            resp.set_header("Allow", METHODS)
            resp.complete = True

    async def process_response(self, _req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        """Put the prefix before the path that an answer points to."""
        if self._prefix and (location := resp.get_header("Location")) and location.startswith("/"):
            resp.set_header("Location", self._prefix + location)


def _to_origin_form(scope: dict[str, Any]) -> None:
    """Take an absolute-form target apart: its authority replaces the Host field (RFC 9112, 3.2.2)."""
    if scope["method"] == "CONNECT":
        scope[REFUSED] = HTTPStatus.NOT_IMPLEMENTED, "This server is no proxy: it opens no connection to others."
        return
    target = scope["raw_path"]
    if target == b"*":
        return
    found = _ABSOLUTE.match(target)
    if found is None:
        detail = "The target is no path and no http:// or https:// URL with a host, and without a user."
        scope[REFUSED] = HTTPStatus.BAD_REQUEST, detail
        return
    host, path = found[1], found[2] or b"/"
    scope["raw_path"], scope["path"] = path, unquote_to_bytes(path).decode("utf-8", "replace")
    scope["headers"] = [(b"host", host), *(field for field in scope["headers"] if field[0] != b"host")]
