"""Request targets: their four forms (RFC 9112, 3.2), and the path prefix that a proxy may add."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from falcon.asgi import Request, Response

from api import dashboard
from api.http.problems import Problem
from settings.public import PublicSettings

REFUSED = "notification-system.refused"  # in the scope: status and detail of a request that is refused before routing
TARGET = "notification-system.target"  # in the scope: the target as it was sent, unless it is a plain path
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# First segments of the API's own paths. A prefix that begins with one of them would be ambiguous.
SEGMENTS = dashboard.SECTIONS | dashboard.API_SECTIONS

_HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
_ABSOLUTE = re.compile(rb"(?:http|https)://(%b)(/[^?]*)?(?:\?(.*))?\Z" % _HOST, re.IGNORECASE)
_VISIBLE = re.compile(rb"[\x21-\x7e]+")


class Targets:
    """Turns every target into a path of the API, by which requests are routed.

    The prefix is the path of PUBLIC_URL. Requests are accepted with and without it, because a proxy may strip it or
    not. Links in answers begin with it.
    """

    def __init__(self, settings: PublicSettings) -> None:
        self._prefix = settings.path_prefix
        # The proxy must have stripped a prefix such as /api.
        strips = self._prefix and unquote(self._prefix).split("/")[1] not in SEGMENTS
        self._stripped = unquote(self._prefix) if strips else ""

    def normalize(self, scope: dict[str, Any]) -> None:
        """Normalize the target in the scope of a request before the request is routed."""
        if target := scope.get(TARGET):
            _to_origin_form(scope, target)
        path, prefix = scope["path"], self._stripped
        if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            scope["path"] = path[len(prefix) :] or "/"
        # Falcon ignores the second slash, so such a path would evade the checks by prefix, as in auth.py.
        if scope["path"].startswith("//"):
            detail = "There is no resource at this path, because it begins with two slashes: remove one."
            scope[REFUSED] = HTTPStatus.NOT_FOUND, detail

    async def process_request(self, req: Request, resp: Response) -> None:
        """Answer requests whose target is not a path."""
        if refused := req.scope.get(REFUSED):
            raise Problem(*refused)
        if req.path == "*":  # The server as a whole (RFC 9110, 9.3.7).
            resp.status = HTTPStatus.NO_CONTENT.value
            resp.set_header("Allow", METHODS)
            resp.complete = True

    async def process_response(self, _req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        """Add the prefix to the path in the header Location."""
        if self._prefix and (location := resp.get_header("Location")) and location.startswith("/"):
            resp.set_header("Location", self._prefix + location)


def _to_origin_form(scope: dict[str, Any], target: bytes) -> None:
    """Split a target that is not a plain path; in absolute form its authority replaces Host (RFC 9112, 3.2.2)."""
    if not _VISIBLE.fullmatch(target):
        detail = "The request target has characters that are not printable ASCII: percent-encode them."
        scope[REFUSED] = HTTPStatus.BAD_REQUEST, detail
    elif target == b"*" and scope["method"] == "OPTIONS":
        scope["path"] = "*"
    elif target.startswith(b"/"):
        _set_target(scope, *target.partition(b"?")[::2])
    elif found := _ABSOLUTE.match(target):
        scope["headers"] = [(b"host", found[1]), *(field for field in scope["headers"] if field[0] != b"host")]
        _set_target(scope, found[2] or b"/", found[3] or b"")
    else:
        detail = "The request target must be a path, or an http:// or https:// URL with a host and without a user."
        scope[REFUSED] = HTTPStatus.BAD_REQUEST, detail


def _set_target(scope: dict[str, Any], path: bytes, query: bytes) -> None:
    scope["raw_path"], scope["path"] = path, unquote_to_bytes(path).decode("utf-8", "replace")
    scope["query_string"] = query
