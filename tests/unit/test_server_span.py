"""The span of a request ends with it and does not affect the next request of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from falcon.asgi import Response
from falcon.testing import create_asgi_req
from opentelemetry import context
from opentelemetry.trace import INVALID_SPAN, get_current_span

from api.http import spans
from api.http.server_span import ServerSpan
from tests.spans import Spans, recorded, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
MIDDLEWARE = ServerSpan()


@pytest.fixture
def made() -> Iterator[Spans]:
    with recorded() as made:
        yield made


async def answered(
    path: str, status: int = 200, headers: dict[str, str] | None = None, route: str | None = None, **scope: Any
) -> bool:
    """Answers a request; returns whether a span was current while it did."""
    request = create_asgi_req(path=path, headers=headers, **scope)
    request.uri_template = route
    response = Response()
    response.status = status
    await MIDDLEWARE.process_request(request, response)
    current = get_current_span() is not INVALID_SPAN
    await MIDDLEWARE.process_response(request, response, None, True)
    return current


def test_each_request_of_a_connection_begins_its_own_trace(made: Spans) -> None:
    async def connection() -> list[bool]:
        asked = [
            await answered(path, headers=headers) for path, headers in (("/a", ASKED), ("/healthz", {}), ("/b", {}))
        ]
        assert get_current_span() is INVALID_SPAN
        assert context.get_value(spans.CAME) is None
        return asked

    assert asyncio.run(connection()) == [True, False, True]
    first, second = made.all
    assert trace_of(first) == TRACE
    assert trace_of(second) != TRACE
    assert second.parent is None


@pytest.mark.parametrize(("status", "error"), [(404, None), (499, None), (500, "500"), (503, "503")])
def test_only_server_errors_mark_a_span_as_failed(made: Spans, status: int, error: str | None) -> None:
    asyncio.run(answered("/jane@example.com", status))

    [span] = made.all
    assert dict(span.attributes or {}).get("error.type") == error
    assert span.status.is_ok is (error is None)
    assert "jane" not in span.to_json()


@pytest.mark.parametrize(
    ("route", "name"), [(None, "HTTP"), ("/api/notifications/{id}", "HTTP /api/notifications/{id}")]
)
def test_an_unknown_method_is_not_recorded(made: Spans, route: str | None, name: str) -> None:
    asyncio.run(answered("/api/notifications/1", 405, route=route, method="SECRET"))

    assert [span.name for span in made.all] == [name]
    assert dict(made.all[0].attributes or {})["http.request.method"] == "_OTHER"
    assert "SECRET" not in made.all[0].to_json()
