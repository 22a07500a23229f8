"""Destinations over HTTP: created, changed, rotated, deleted; URLs, tokens and secrets are never shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from db import database, destinations
from tests.client import Response
from tests.contract import CheckedClient, faults
from tests.dashboard import Person
from tests.emptying import empty
from tests.environment import configured
from tests.integration.api import Api, running

DESTINATIONS = "/api/destinations"
URL = "https://hooks.slack.com/services/T0SECRET/B0SECRET/SECRETwxyz"
TOKEN = "123456:AAH-SECRET_SECRET_SECRETwxyz"
SLACK = {"name": "alerts", "kind": "slack", "url": URL}
TELEGRAM = {"name": "oncall", "kind": "telegram", "token": TOKEN, "chatId": "-1001234567890"}
WEBHOOK = {"name": "orders", "kind": "webhook", "url": "https://example.com/SECRET/orders", "description": "The ERP"}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, apprise_services="pagerduty, ntfys") as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


@pytest.fixture
def client(api: Api) -> CheckedClient:
    empty(database.rows, ("destinations", "audit"))
    return api.client


def send(client: CheckedClient, method: str, path: str, document: Any = None) -> Response:
    body = None if document is None else json.dumps(document).encode()
    return client.request(method, path, body, {"Content-Type": "application/json"} if body else {})


def make(client: CheckedClient, given: dict[str, Any]) -> Any:
    made = client.post(DESTINATIONS, given)
    assert made.status == 201, made.raw
    return made.json


def test_the_secret_of_a_webhook_is_shown_once(client: CheckedClient) -> None:
    made = client.post(DESTINATIONS, WEBHOOK)

    secret = made.json["secret"]
    assert secret.startswith("whsec_")
    assert made.headers["location"] == "/api/destinations/orders"
    shown = client.get(made.headers["location"])
    assert {**shown.json, "secret": secret} == made.json
    assert client.get(DESTINATIONS).json == {"items": [shown.json], "nextCursor": None}
    assert secret.encode() not in shown.raw + client.get(DESTINATIONS).raw


def test_other_destinations_have_no_secret(client: CheckedClient) -> None:
    assert make(client, SLACK)["secret"] is None
    assert make(client, TELEGRAM)["secret"] is None
    assert send(client, "POST", f"{DESTINATIONS}/alerts/rotate-secret").status == 409


def test_only_the_host_and_the_last_characters_are_shown(client: CheckedClient) -> None:
    make(client, SLACK)
    make(client, TELEGRAM)
    make(client, {"name": "pager", "kind": "apprise", "url": "pagerduty://KEYSECRET@APISECRET/source"})
    shown = {one["name"]: (one["host"], one["hint"]) for one in client.get(DESTINATIONS).json["items"]}
    assert shown == {
        "alerts": ("hooks.slack.com", "wxyz"),
        "oncall": ("api.telegram.org", "wxyz"),
        "pager": ("pagerduty://", "urce"),
    }


def test_a_short_url_has_no_hint(client: CheckedClient) -> None:
    assert make(client, {"name": "x", "kind": "webhook", "url": "https://example.com/x"})["hint"] is None


def test_no_answer_or_log_contains_a_url_a_token_or_a_secret(api: Api, client: CheckedClient) -> None:
    answers = [client.post(DESTINATIONS, SLACK), client.post(DESTINATIONS, TELEGRAM)]
    made = make(client, WEBHOOK)
    rotated = send(client, "POST", f"{DESTINATIONS}/orders/rotate-secret").json
    assert rotated["secret"] not in (None, made["secret"])
    answers += [
        client.post(DESTINATIONS, SLACK),
        client.post(DESTINATIONS, {**SLACK, "name": "other", "url": f"{URL}#SECRET"}),
        send(client, "PATCH", f"{DESTINATIONS}/alerts", {"url": URL + "SECRET"}),
        client.get(DESTINATIONS),
        client.get("/api/export"),
        client.get("/api/audit"),
    ]
    told = b"".join(answer.raw for answer in answers) + api.log.encode()
    assert b"SECRET" not in told
    assert made["secret"].encode() not in told
    assert rotated["secret"].encode() not in told


def test_a_destination_with_an_existing_name_is_refused(client: CheckedClient) -> None:
    make(client, SLACK)
    again = client.post(DESTINATIONS, {**WEBHOOK, "name": "alerts"})
    assert again.status == 409
    assert "PATCH" in again.json["detail"]


def test_a_client_has_a_thousand_destinations_at_most(client: CheckedClient) -> None:
    database.rows(
        "INSERT INTO destinations (client_id, name, kind, url, description)"
        " SELECT 1, 'd' || n, 'slack', 'https://example.com/', '' FROM generate_series(1, 1000) AS n"
    )
    refused = client.post(DESTINATIONS, SLACK)
    assert refused.status == 409
    assert refused.json["type"].endswith("too-many-destinations")


def test_destinations_are_listed_by_name_in_pages(client: CheckedClient) -> None:
    for name in ("c", "a", "b"):
        make(client, {**SLACK, "name": name})
    first = client.get(f"{DESTINATIONS}?limit=2").json
    second = client.get(f"{DESTINATIONS}?limit=2&cursor={first['nextCursor']}").json
    assert [[one["name"] for one in page["items"]] for page in (first, second)] == [["a", "b"], ["c"]]
    assert second["nextCursor"] is None
    assert client.get(f"{DESTINATIONS}?cursor=x").status == 400


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"name": "a b"}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a/b"}, "/name"),
        ({"kind": "pigeon"}, "/kind"),
        ({"url": "http://hooks.slack.com/x"}, "/url"),
        ({"url": "https://127.0.0.1/x"}, "/url"),
        ({"url": "https://169.254.169.254/latest"}, "/url"),
        ({"url": "https://user:pass@example.com/"}, "/url"),
        ({"url": "https://example.com/\r\nX: y"}, "/url"),
        ({"url": "https://example.com:22/"}, "/url"),
        ({"url": "json://10.0.0.1/"}, "/url"),
        ({"url": 5}, "/url"),
        ({"token": TOKEN}, "/token"),
        ({"chatId": "1"}, "/chatId"),
        ({"colour": "red"}, "/colour"),
        ({"description": "a\nb"}, "/description"),
        ({"secret": "whsec_AAAA"}, "/secret"),
    ],
)
def test_an_invalid_destination_is_refused(client: CheckedClient, given: dict[str, Any], wrong: str) -> None:
    refused = client.post(DESTINATIONS, {**SLACK, **given})
    assert refused.status == 422, refused.raw
    assert wrong in faults(refused)
    assert client.get(DESTINATIONS).json["items"] == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"token": "123456:short"}, "/token"),
        ({"token": TOKEN + "\n"}, "/token"),
        ({"token": TOKEN + "/../x"}, "/token"),
        ({"chatId": "12.5"}, "/chatId"),
        ({"chatId": "@x\n"}, "/chatId"),
        ({"url": "https://example.com/path"}, "/url"),
        ({"url": "https://10.0.0.1"}, "/url"),
    ],
)
def test_an_invalid_telegram_chat_is_refused(client: CheckedClient, given: dict[str, Any], wrong: str) -> None:
    refused = client.post(DESTINATIONS, {**TELEGRAM, **given})
    assert refused.status == 422
    assert list(faults(refused)) == [wrong]


def test_missing_fields_are_reported_by_name(client: CheckedClient) -> None:
    assert faults(client.post(DESTINATIONS, {"name": "a", "kind": "discord"})) == {"/url": "is required for discord"}
    missing = faults(client.post(DESTINATIONS, {"name": "a", "kind": "telegram"}))
    assert missing == {"/token": "is required for telegram", "/chatId": "is required for telegram"}


def test_apprise_may_use_only_the_services_that_operators_allow(client: CheckedClient) -> None:
    make(client, {"name": "a", "kind": "apprise", "url": "pagerduty://key@api/source"})
    make(client, {"name": "b", "kind": "apprise", "url": "NTFYS://topic"})
    for url in (
        "json://127.0.0.1/",
        "https://example.com/",
        "pagerduty:x",
        "ntfys://a\nb",
        "pagerduty",
        "ntfys://a,json://10.0.0.1",
    ):
        assert list(faults(client.post(DESTINATIONS, {"name": "c", "kind": "apprise", "url": url}))) == ["/url"]


def test_a_destination_is_changed(client: CheckedClient) -> None:
    make(client, TELEGRAM)
    changed = send(client, "PATCH", f"{DESTINATIONS}/oncall", {"chatId": "@ops_channel", "description": "Ops"})
    assert changed.status == 200
    assert (changed.json["chatId"], changed.json["description"]) == ("@ops_channel", "Ops")
    [address] = destinations.addresses([(1, "oncall")]).values()
    assert (address.token, address.chat_id, address.url) == (TOKEN, "@ops_channel", "https://api.telegram.org")
    assert list(faults(send(client, "PATCH", f"{DESTINATIONS}/oncall", {"url": "http://10.0.0.1"}))) == ["/url"]
    assert list(faults(send(client, "PATCH", f"{DESTINATIONS}/oncall", {"kind": "slack"}))) == ["/kind"]
    assert send(client, "PATCH", f"{DESTINATIONS}/oncall", {}).status == 422
    assert send(client, "PATCH", f"{DESTINATIONS}/nobody", {"description": "x"}).status == 404


def test_both_secrets_sign_after_a_rotation(client: CheckedClient) -> None:
    old = make(client, WEBHOOK)["secret"]
    rotated = send(client, "POST", f"{DESTINATIONS}/orders/rotate-secret").json
    assert rotated["oldSecretUntil"]
    [address] = destinations.addresses([(1, "orders")]).values()
    assert list(address.secrets) == [rotated["secret"], old]


def test_a_deleted_destination_is_a_404(client: CheckedClient) -> None:
    make(client, SLACK)
    assert send(client, "DELETE", f"{DESTINATIONS}/alerts").status == 204
    assert send(client, "DELETE", f"{DESTINATIONS}/alerts").status == 404
    assert client.get(f"{DESTINATIONS}/alerts").status == 404
    assert client.get(f"{DESTINATIONS}/%00").status == 404
    assert destinations.addresses([(1, "alerts")]) == {}


def test_the_audit_log_has_each_act_without_values(client: CheckedClient) -> None:
    make(client, WEBHOOK)
    send(client, "PATCH", f"{DESTINATIONS}/orders", {"url": "https://example.com/SECRET/2"})
    send(client, "POST", f"{DESTINATIONS}/orders/rotate-secret")
    send(client, "DELETE", f"{DESTINATIONS}/orders")
    acts = [(one["act"], one["target"], one["detail"]) for one in reversed(client.get("/api/audit").json["items"])]
    assert acts == [
        (
            *("destination.created", "destination orders"),
            {"kind": "webhook", "fields": ["description", "kind", "name", "url"]},
        ),
        ("destination.changed", "destination orders", {"kind": "webhook", "fields": ["url"]}),
        ("destination.rotated", "destination orders", {"kind": "webhook", "fields": []}),
        ("destination.deleted", "destination orders", {"kind": "webhook", "fields": []}),
    ]


def test_the_dashboard_lists_and_deletes_destinations(api: Api, client: CheckedClient) -> None:
    make(client, SLACK)
    make(client, TELEGRAM)
    person = Person(api.port)
    page = person.get("/destinations")
    assert "alerts" in page.text
    assert "hooks.slack.com …wxyz" in page.text
    assert "SECRET" not in page.html
    assert "Delete alerts?" in person.get("/destinations/alerts/delete").text
    deleted = person.submit("/destinations/alerts/delete")
    assert "The destination is deleted." in person.get(deleted.headers["location"]).text
    assert [one["name"] for one in client.get(DESTINATIONS).json["items"]] == ["oncall"]
    assert person.get("/destinations/alerts/delete").status == 404
