"""Every error is answered with a problem document that says no more than it should."""

from __future__ import annotations

import falcon
import pytest
from falcon.asgi import Request, Response
from falcon.testing import TestClient

from api.http import problems
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
