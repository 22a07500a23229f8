"""The target of a request: its four forms (RFC 9112, 3.2), and the path prefix that a proxy may put before it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from falcon.asgi import Request, Response

from api import dashboard
from api.http.problems import Problem
from settings import Settings

REFUSED = "notification-system.refused"  # in the scope: the status and the reason for which no resource is looked for
TARGET = "notification-system.target"  # in the scope, unless it is a path: the target as it was sent
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# First segments of our own paths: a prefix that begins like one of them cannot be told from it.
SEGMENTS = dashboard.SECTIONS | {"api", "u", "healthz", "readyz", "metrics", "openapi.json"}

_HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
_ABSOLUTE = re.compile(rb"(?:http|https)://(%b)(/[^?]*)?(?:\?(.*))?\Z" % _HOST, re.IGNORECASE)
_VISIBLE = re.compile(rb"[\x21-\x7e]+")


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
        if target := scope.get(TARGET):
            _to_origin_form(scope, target)
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
        if req.path == "*":  # Of the server as a whole (RFC 9110, 9.3.7).
            resp.status = HTTPStatus.NO_CONTENT.value
            resp.set_header("Allow", METHODS)
            resp.complete = True

    async def process_response(self, _req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        """Put the prefix before the path that an answer points to."""
        if self._prefix and (location := resp.get_header("Location")) and location.startswith("/"):
            resp.set_header("Location", self._prefix + location)


def _to_origin_form(scope: dict[str, Any], target: bytes) -> None:
    """Take apart a target that is no plain path; in absolute form its authority replaces Host (RFC 9112, 3.2.2)."""
    if not _VISIBLE.fullmatch(target):
        scope[REFUSED] = HTTPStatus.BAD_REQUEST, "Percent-encode what is not printable ASCII in the target."
    elif target == b"*" and scope["method"] == "OPTIONS":
        scope["path"] = "*"
    elif target.startswith(b"/"):
        _set_target(scope, *target.partition(b"?")[::2])
    elif found := _ABSOLUTE.match(target):
        scope["headers"] = [(b"host", found[1]), *(field for field in scope["headers"] if field[0] != b"host")]
        _set_target(scope, found[2] or b"/", found[3] or b"")
    else:
        detail = "The target is no path and no http:// or https:// URL with a host, and without a user."
        scope[REFUSED] = HTTPStatus.BAD_REQUEST, detail


def _set_target(scope: dict[str, Any], path: bytes, query: bytes) -> None:
    scope["raw_path"], scope["path"] = path, unquote_to_bytes(path).decode("utf-8", "replace")
    scope["query_string"] = query
