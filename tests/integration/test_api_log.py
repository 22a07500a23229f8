"""The log line of each request: its fields, private data that it omits, and sampling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests import keys
from tests.client import NOTIFICATIONS, Client
from tests.eventually import eventually
from tests.integration.api import Api, running

MAIL = {"type": "email", "recipient": "a@example.com", "message": "Hello"}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", log_sample=0) as api:
        yield api


@pytest.fixture(scope="module")
def lines(api: Api) -> list[Any]:
    """Log lines of an API that logs no routine requests."""
    key = keys.key(api.sql)
    with Client(api.port) as client:
        client.key = str(key)
        assert client.post(NOTIFICATIONS, MAIL).status == 201
        assert client.get(NOTIFICATIONS).status == 200
        for method, path in (("GET", "/a@example.com"), ("GET", f"{NOTIFICATIONS}/99"), ("DELETE", NOTIFICATIONS)):
            assert client.request(method, path).status in (404, 405)
        assert client.post(NOTIFICATIONS, {}, x_request_id="last").status == 422
    eventually(lambda: '"last"' in api.log)
    return [event | {"mine": event.get("key") == key.id} for event in map(json.loads, api.events)]


def test_refused_requests_are_logged_even_if_no_routine_requests_are(lines: list[Any]) -> None:
    told = [(e["method"], e["route"], e["status"]) for e in lines if e["event"] == "request"]

    assert told == [
        ("GET", None, 404),
        ("GET", "/api/notifications/{id}", 404),
        ("DELETE", "/api/notifications", 405),
        ("POST", "/api/notifications", 422),
    ]
    assert all(e["mine"] and e["client"] == 1 and e["request_id"] for e in lines if e["event"] == "request")
    assert not any("sample" in e for e in lines)


def test_routine_events_are_not_logged_with_a_sample_of_zero(lines: list[Any]) -> None:
    assert "notification.accepted" not in {e["event"] for e in lines}


def test_every_line_is_json_including_those_of_gunicorn(lines: list[Any]) -> None:
    assert lines[0]["event"].startswith("Starting gunicorn")
    assert {e["process"].partition("/")[0] for e in lines} == {"gunicorn", "api"}


def test_no_line_contains_the_requested_path(api: Api, lines: list[Any]) -> None:
    assert lines
    assert "a@example.com" not in api.log
