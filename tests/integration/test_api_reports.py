"""/api/reports over HTTP, and its effect on a notification."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from actors.reports import tokens
from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from api.resources.reports import MEDIA_TYPE
from cli.servers.valkey import Valkey
from db import database, lifecycle
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient
from tests.environment import configured
from tests.integration.api import Api, running
from tests.integration.rows import GRACE, WORKER, attempt
from tests.reporting import dsn, group

REPORTS = "/api/reports"
ADDRESS = "ann@example.com"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


@pytest.fixture
def keys(api: Api, module_database_url: str) -> Iterator[ReportKeys]:
    """Keys of the tokens; this process's `database` is that of the API."""
    with configured(database_url=module_database_url) as settings:
        database.bind(settings.database)
        with database.connection():
            database.rows("DELETE FROM reports")
            yield ReportKeys.load(settings.reports)
        database.database.close()


def send(client: CheckedClient, raw: bytes, kind: str = MEDIA_TYPE, **parameters: str) -> Response:
    query = f"?{urlencode(parameters)}" if parameters else ""
    return client.request("POST", REPORTS + query, raw, {"Content-Type": kind})


def sent(client: CheckedClient) -> int:
    id = int(client.notify(ADDRESS).json["id"])
    [held] = lifecycle.claim([id], WORKER)
    assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    return id


def shown(client: CheckedClient, id: int) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{NOTIFICATIONS}/{id}").json
    return found


def test_a_report_is_stored_before_the_answer_and_changes_its_notification(
    client: CheckedClient, keys: ReportKeys
) -> None:
    id = sent(client)
    assert (shown(client, id)["deliveryStatus"], shown(client, id)["deliveryEvidence"]) == ("unconfirmed", None)
    path = tokens.return_path(tokens.token(id, keys.keys[0]), "bounces.example.com")

    stored = send(client, dsn(group(said="550 5.1.1 User unknown")), recipient=path)
    assert stored.status == 202
    assert database.rows("SELECT id, state FROM reports") == [(stored.json["id"], "new")]
    ReportReader(keys).turn()

    found = shown(client, id)
    assert (found["status"], found["deliveryStatus"]) == ("sent", "bounced")
    proof = found["deliveryEvidence"]
    assert (proof["kind"], proof["class"], proof["code"], proof["recipient"]) == ("bounced", "hard", "5.1.1", ADDRESS)
    events = client.get(f"{NOTIFICATIONS}/{id}/events").json["items"]
    assert [event["event"] for event in events][-2:] == ["sent", "bounced"]
    assert events[-1]["detail"]["report"] == stored.json["id"]
    assert client.get("/api/suppressions/ann@example.com").json["reason"] == "bounced"
    for status, ids in (("bounced", [id]), ("delivered", []), ("unconfirmed", [])):
        items = client.get(NOTIFICATIONS, deliveryStatus=status).json["items"]
        assert [item["id"] for item in items if item["id"] == id] == ids
    assert client.get(REPORTS).json["items"] == []


def test_a_report_without_a_token_is_listed(client: CheckedClient, keys: ReportKeys) -> None:
    ids = [send(client, dsn()).json["id"] for _ in range(3)]
    ReportReader(keys).turn()
    first = client.get(REPORTS, limit=2).json
    assert [item["id"] for item in first["items"]] == ids[:0:-1]
    assert first["items"][0]["events"][0]["recipient"] == ADDRESS
    assert "token" not in json.dumps(first)
    rest = client.get(REPORTS, limit=2, cursor=first["nextCursor"]).json
    assert ([item["id"] for item in rest["items"]], rest["nextCursor"]) == (ids[:1], None)


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (dsn(), "application/json", 415),
        (dsn(), "", 415),
        (b"", MEDIA_TYPE, 400),
        (b"x" * 11_000_000, MEDIA_TYPE, 413),
    ],
)
def test_a_body_that_is_no_mail_is_refused(client: CheckedClient, raw: bytes, kind: str, status: int) -> None:
    assert send(client, raw, kind).status == status


def test_an_unknown_parameter_is_refused(client: CheckedClient) -> None:
    assert send(client, dsn(), envelope="a@example.com").status == 400
