"""Errors as problem documents (RFC 9457), which say what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import falcon
import falcon.asgi
import orjson
from falcon.asgi import Request

from api.http import operations
from db.coalesce import Closed, Full
from db.database import Unacceptable, Unavailable
from runtime import logs

log = logs.get("api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "1"  # seconds
AGAIN = "Try again after the seconds in Retry-After."
INVALID = "urn:notification-system:problem:invalid-request"
# RFC 9110's names of status codes where Python 3.11 and 3.12 have older ones: a title does not depend on the version.
_TITLES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
MOST_FAULTS = 100  # listed in one answer; a request may have a hundred thousand


class Problem(Exception):
    """Answer with a status of 4xx or 5xx.

    `errors` lists every fault: a pointer, parameter or header, and a detail.
    """

    more: Mapping[str, object] = MappingProxyType({})  # further members of the document

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        type: str = "about:blank",
        errors: Sequence[dict[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.type, self.errors = status, detail, type, list(errors)
        self.headers = headers or {}

    def told(self, req: Request) -> str:
        """Return the detail for the answer to this request."""
        detail = self._sentence(req)
        return f"{detail} {AGAIN}" if "Retry-After" in self.headers else detail

    def _sentence(self, _req: Request) -> str:
        return self.detail


class RefusedRequest(Problem):
    """Problem whose detail also says what the request has left undone, which depends on its operation."""

    def _sentence(self, req: Request) -> str:
        return f"{self.detail.removesuffix('.')}{operations.undone(req)}."


def invalid(status: HTTPStatus, errors: Sequence[dict[str, str]]) -> Problem:
    """Return a Problem that counts the faults of a request and lists up to MOST_FAULTS of them."""
    faults = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
    if len(errors) > MOST_FAULTS:
        faults = f"more than {MOST_FAULTS} faults"
    return RefusedRequest(status, f"The request has {faults}.", type=INVALID, errors=errors[:MOST_FAULTS])


def title(status: HTTPStatus) -> str:
    """Return the name of a status code (RFC 9110, section 15)."""
    return _TITLES.get(status, status.phrase)


def install(app: falcon.asgi.App[Any, Any]) -> None:
    """Answer every error with a problem document, including Falcon's own and unforeseen ones."""
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _falcon)
    app.add_error_handler(Problem, _problem)
    for passing in (Unavailable, Full, Closed):
        app.add_error_handler(passing, _unavailable)
    app.add_error_handler(Unacceptable, _unacceptable)


async def _problem(req: Any, resp: Any, problem: Problem, _params: Any, **_: Any) -> None:
    _write(req, resp, problem)


async def _falcon(req: Any, resp: Any, error: falcon.HTTPError, _params: Any, **_: Any) -> None:
    status = HTTPStatus(error.status_code)
    detail = error.description or _DETAILS.get(status, status.description or title(status))
    _write(req, resp, Problem(status, detail, headers=dict(error.headers or {})))


async def _unavailable(req: Any, resp: Any, error: Exception, _params: Any, **_: Any) -> None:
    log.warning("request.unavailable", reason=type(error).__name__, error=str(error))
    away = isinstance(error, Unavailable)
    detail = "The database is not available right now." if away else "Too many requests are waiting already."
    _write(req, resp, Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": RETRY_AFTER}))


async def _unacceptable(req: Any, resp: Any, _error: Unacceptable, _params: Any, **_: Any) -> None:
    fault = {"pointer": "", "detail": "has a value that PostgreSQL cannot store: change or shorten it"}
    _write(req, resp, invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [fault]))


async def _unforeseen(req: Any, resp: Any, error: Exception, _params: Any, **_: Any) -> None:
    log.error("request.failed", exc_info=error)
    detail = "The server failed. Report the X-Request-ID of this answer: the log has the cause under it."
    _write(req, resp, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail))


def _write(req: Any, resp: Any, problem: Problem) -> None:
    detail = problem.told(req)
    if problem.status in _DETAILS and req.path != "/" and req.scope.get("raw_path", b"").endswith(b"/"):
        detail = f"{detail} The path ends with a slash: remove it."
    body: dict[str, Any] = {
        "type": problem.type,
        "title": title(problem.status),
        "status": problem.status.value,
        "detail": detail,
        **problem.more,
    }
    if problem.errors:
        body["errors"] = problem.errors
    resp.status = problem.status.value
    resp.content_type = MEDIA_TYPE
    resp.data = orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)
    resp.set_headers(problem.headers)


_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is no resource at this path; /openapi.json lists all paths.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not accept this method; the Allow header lists those it accepts.",
}
