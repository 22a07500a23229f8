"""Every error is answered with a problem document without internal details."""

from __future__ import annotations

from http import HTTPStatus

import falcon
import pytest
from falcon.asgi import Request, Response
from falcon.testing import TestClient

from api.http import operations, problems
from api.http.asgi import Application
from db.coalesce import Closed, Full
from db.database import Unacceptable, Unavailable
from settings import read


class Raising:
    """Raises what it was given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def on_get(self, _req: Request, _resp: Response) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("hush"), 500),
        (KeyError("hush"), 500),
        (Unacceptable("hush"), 422),
        (Unavailable("hush"), 503),
        (Full("hush"), 503),
        (Closed("hush"), 503),
        (falcon.HTTPNotFound(), 404),
        (falcon.HTTPServiceUnavailable(), 503),
        (falcon.HTTPInvalidParam("is wrong", "p"), 400),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_a_problem_document(error: Exception, status: int) -> None:
    app = Application(read({}))
    problems.install(app)
    app.add_route("/", Raising(error))

    answer = TestClient(app).simulate_get("/", headers={"Accept": "text/html, application/xml"})

    assert answer.status_code == answer.json["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail"} <= answer.json.keys()
    assert "hush" not in answer.text
    assert "Traceback" not in answer.text
    if isinstance(error, Unavailable | Full | Closed):
        assert answer.headers["retry-after"] == "1"


class Refusing:
    """Refuses every request; a POST to it only reads."""

    async def on_get(self, _req: Request, _resp: Response, **_: object) -> None:
        raise problems.invalid(HTTPStatus.BAD_REQUEST, [{"parameter": "p", "detail": "is wrong"}])

    on_put = on_delete = on_patch = on_get

    async def on_post(self, req: Request, _resp: Response) -> None:
        operations.mark_reading(req)
        raise problems.invalid(HTTPStatus.BAD_REQUEST, [])


class Sending(Refusing):
    """Refuses every request; a POST to it would store something."""

    async def on_post(self, _req: Request, _resp: Response) -> None:
        raise problems.RefusedRequest(HTTPStatus.TOO_MANY_REQUESTS, "Too many.", headers={"Retry-After": "5"})


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/api/notifications", "The request has 1 fault."),
        ("POST", "/api/notifications", "Too many; nothing was stored. Try again after the seconds in Retry-After."),
        (
            "POST",
            "/api/notifications/batch",
            "Too many; nothing was stored. Try again after the seconds in Retry-After.",
        ),
        ("PATCH", "/api/notifications/1", "The request has 1 fault; nothing was changed."),
        ("PUT", "/api/templates/a", "The request has 1 fault; nothing was changed."),
        ("DELETE", "/api/templates/a", "The request has 1 fault; nothing was changed."),
        ("POST", "/api/templates/a/preview", "The request has 0 faults."),
    ],
)
def test_a_refusal_says_what_the_operation_did_not_do(method: str, path: str, detail: str) -> None:
    app = Application(read({}))
    problems.install(app)
    for sending in ("/api/notifications", "/api/notifications/batch"):
        app.add_route(sending, Sending())
    for refusing in ("/api/notifications/{id:int}", "/api/templates/a", "/api/templates/a/preview"):
        app.add_route(refusing, Refusing())

    assert TestClient(app).simulate_request(method, path).json["detail"] == detail


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "Bad Request"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
        (503, "Service Unavailable"),
    ],
)
def test_a_title_is_the_name_in_rfc_9110_with_every_version_of_python(status: int, name: str) -> None:
    assert problems.title(HTTPStatus(status)) == name
