"""Schemathesis against the real server: valid and invalid requests are answered as documented, without a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.resources.openapi import OpenApi
from cli.servers.valkey import Valkey
from settings import read
from tests.integration.api import running

pytestmark = pytest.mark.long

schemathesis.serializer.alias("message/rfc822", "text/plain")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def _read() -> Any:
    """Return the document without the schemas of streams.

    Schemathesis holds each event of a stream against such a schema, as OpenAPI 3.2 does with `itemSchema`.
    """
    document = json.loads(OpenApi(read({})).document)
    for path in ("/api/stream", "/api/notifications/{id}/events"):
        document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"].pop("schema")
    return document


DOCUMENT = _read()
OPERATIONS = [
    (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
]
BRIEFLY = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(scope="module")
def described(module_database_url: str, redis_server: Valkey) -> Iterator[Any]:
    # Nothing is sent here, so a long poll lasts as long as it may, and so does a stream.
    with running(module_database_url, redis_server.url, long_poll_max=1, stream_seconds=0.1) as api:
        schema = schemathesis.openapi.from_dict(DOCUMENT)
        schema.config.update(base_url=f"http://127.0.0.1:{api.port}")
        yield schema


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_each_operation_answers_as_documented(described: Any, method: str, path: str, mode: GenerationMode) -> None:
    cases = described[path][method].as_strategy(generation_mode=mode)

    @BRIEFLY
    @given(case=cases)
    def answers(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    try:
        answers()
    except Unsatisfiable:  # Nothing about this operation can be wrong, or it has nothing that could vary.
        assert mode is GenerationMode.NEGATIVE
