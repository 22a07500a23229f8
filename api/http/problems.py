"""Errors as problem documents (RFC 9457): what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import falcon
import falcon.asgi
import orjson

from db.coalesce import Closed, Full
from db.database import Unacceptable, Unavailable
from runtime import logs

log = logs.get("api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "1"  # seconds
INVALID = "urn:notification-system:problem:invalid-request"
MOST_FAULTS = 100  # in one answer; a request may have a hundred thousand


class Problem(Exception):
    """An answer of 4xx or 5xx. `errors` lists every fault: a pointer or parameter, and a detail."""

    more: Mapping[str, object] = MappingProxyType({})  # members beside the usual ones

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


def invalid(status: HTTPStatus, errors: Sequence[dict[str, str]]) -> Problem:
    """The request itself is at fault; says how many faults and lists them, up to MOST_FAULTS."""
    faults = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
    if len(errors) > MOST_FAULTS:
        faults = f"more than {MOST_FAULTS} faults"
    return Problem(status, f"The request has {faults}; nothing was stored.", type=INVALID, errors=errors[:MOST_FAULTS])


def install(app: falcon.asgi.App[Any, Any]) -> None:
    """Answer every error with a problem document, Falcon's own and unforeseen ones included."""
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _falcon)
    app.add_error_handler(Problem, _problem)
    for passing in (Unavailable, Full, Closed):
        app.add_error_handler(passing, _unavailable)
    app.add_error_handler(Unacceptable, _unacceptable)


async def _problem(_req: Any, resp: Any, problem: Problem, _params: Any, **_: Any) -> None:
    _write(resp, problem)


async def _falcon(_req: Any, resp: Any, error: falcon.HTTPError, _params: Any, **_: Any) -> None:
    status = HTTPStatus(error.status_code)
    detail = error.description or _DETAILS.get(status, status.description or status.phrase)
    _write(resp, Problem(status, detail, headers=dict(error.headers or {})))


async def _unavailable(_req: Any, resp: Any, error: Exception, _params: Any, **_: Any) -> None:
    log.warning("request.unavailable", reason=type(error).__name__, error=str(error))
    away = isinstance(error, Unavailable)
    detail = "The database is not available right now." if away else "Too much is waiting here already."
    detail += " Try again after the seconds in Retry-After."
    _write(resp, Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": RETRY_AFTER}))


async def _unacceptable(_req: Any, resp: Any, _error: Unacceptable, _params: Any, **_: Any) -> None:
    _write(resp, invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [{"pointer": "", "detail": "cannot be stored as it is"}]))


async def _unforeseen(_req: Any, resp: Any, error: Exception, _params: Any, **_: Any) -> None:
    log.error("request.failed", exc_info=error)
    _write(resp, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault; the request id leads to the cause."))


def _write(resp: Any, problem: Problem) -> None:
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        **problem.more,
    }
    if problem.errors:
        body["errors"] = problem.errors
    resp.status = problem.status.value
    resp.content_type = MEDIA_TYPE
    resp.data = orjson.dumps(body)
    resp.set_headers(problem.headers)


_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address; /openapi.json lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method; the Allow header lists those it takes.",
}
