"""/api/reports/{provider}: webhooks of providers, over HTTP."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from cli.servers.valkey import Valkey
from db import database, incoming_reports, lifecycle
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient
from tests.environment import configured
from tests.integration.api import Api, running
from tests.integration.rows import GRACE, WORKER, attempt

SECRET = "s" * 32
WEBHOOK = "/api/reports/post"
DELIVERED: dict[str, Any] = {
    "RecordType": "Delivery",
    "MessageID": "m-1",
    "Recipient": "ann@example.com",
    "DeliveredAt": "2027-01-01T10:00:00Z",
    "Details": "250 2.1.5 OK",
    "Metadata": {},
}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    post = f"postmark://:TOKEN@?reports={SECRET}"
    silent = "postmark://:TOKEN@"
    with running(
        module_database_url, redis_server.url, auth="required", provider_post=post, provider_silent=silent
    ) as api:
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


def basic(secret: str) -> str:
    return f"Basic {b64encode(f'hooks:{secret}'.encode()).decode()}"


def call(client: CheckedClient, body: Mapping[str, Any] | bytes, secret: str = SECRET, path: str = WEBHOOK) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request("POST", path, raw, {"Content-Type": "application/json", "Authorization": basic(secret)})


def sent() -> int:
    """Return a notification that the provider `post` took as the message m-1."""
    [(id,)] = database.rows(
        "INSERT INTO notifications (type, recipient, subject, message) VALUES ('email', 'ann@example.com', 'Hi', 'Hi')"
        " RETURNING id"
    )
    [held] = lifecycle.claim([id], WORKER)
    made = attempt()._replace(provider="post", provider_message_id="m-1")
    assert lifecycle.settle([lifecycle.sent(held, made)], GRACE, time.monotonic())
    return int(id)


def test_an_event_is_stored_before_the_answer_and_changes_its_notification(
    client: CheckedClient, keys: ReportKeys
) -> None:
    id = sent()
    answer = call(client, DELIVERED)
    assert (answer.status, answer.json) == (200, {"events": 1})
    assert database.rows("SELECT source, state FROM reports") == [("post", "new")]
    ReportReader(keys).turn()
    assert database.rows("SELECT delivery_status FROM notifications WHERE id = %s", id) == [("delivered",)]
    assert call(client, DELIVERED).status == 200
    ReportReader(keys).turn()
    assert database.rows("SELECT count(*) FROM evidence WHERE notification_id = %s", id) == [(1,)]


def test_an_event_that_does_not_count_is_not_stored(client: CheckedClient, keys: ReportKeys) -> None:
    assert call(client, {**DELIVERED, "RecordType": "Open"}).json == {"events": 0}
    assert database.rows("SELECT count(*) FROM reports") == [(0,)]


def test_a_forged_request_is_refused_counted_and_not_stored(client: CheckedClient, keys: ReportKeys) -> None:
    assert [call(client, DELIVERED, secret).status for secret in ("wrong" * 8, "")] == [403, 403]
    assert database.rows("SELECT count(*) FROM reports") == [(0,)]
    [(provider, number, reason)] = incoming_reports.rejections(60)
    assert (provider, number) == ("post", 1)  # The other one is recorded with the next one that comes later.
    assert SECRET not in reason


def test_a_malformed_request_is_refused_and_kept(client: CheckedClient, keys: ReportKeys) -> None:
    assert call(client, b"{").status == 400
    assert database.rows("SELECT source, state, raw = '{'::bytea FROM reports") == [("post", "unreadable", True)]


@pytest.mark.parametrize("name", ["silent", "unknown", "post%00", "%ff"])
def test_a_provider_without_webhooks_is_a_404(client: CheckedClient, name: str) -> None:
    assert call(client, DELIVERED, path=f"/api/reports/{name}").status == 404


def test_the_proof_of_a_webhook_gives_no_other_access(client: CheckedClient) -> None:
    assert client.get("/api/reports").status == 401
    assert client.get(NOTIFICATIONS).status == 401


def test_a_large_body_is_refused(client: CheckedClient) -> None:
    assert call(client, b"x" * 1_000_001).status == 413
