"""/api/suppressions and /u/{token}, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from actors.channels.email.unsubscribing import token
from cli.servers.valkey import Valkey
from settings import read
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running

SUPPRESSIONS = "/api/suppressions"
SECRET: dict[str, Any] = {"public_url": "https://notify.example.com", "unsubscribe_secret": "s" * 32}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, **SECRET) as api:
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


def place(address: str) -> str:
    return f"{SUPPRESSIONS}/{quote(address, safe='@')}"


def link(notification: int) -> str:
    return f"/u/{token(notification, read({name.upper(): value for name, value in SECRET.items()}).public)}"


def remove(client: CheckedClient, address: str) -> Response:
    return client.request("DELETE", place(address))


@pytest.mark.parametrize(
    ("listed", "shown", "sent_to"),
    [
        ("Ann@Example.COM", "ann@example.com", "aNN@example.com"),
        ("ann@EXÄMPLE.com", "ann@xn--exmple-cua.com", "Ann@xn--EXMPLE-cua.com"),
        ("ann2@xn--exmple-cua.com", "ann2@xn--exmple-cua.com", "Ann2@exämple.com"),
        ("ÄNN@example.com", "änn@example.com", "änn@example.com"),
        ("a/b?c#d%e+f@example.com", "a/b?c#d%e+f@example.com", "A/b?c#d%e+f@example.com"),
    ],
)
def test_an_address_is_suppressed_in_every_spelling(
    client: CheckedClient, listed: str, shown: str, sent_to: str
) -> None:
    added = client.post(SUPPRESSIONS, {"address": listed, "source": "asked"})
    assert (added.status, added.json["address"]) == (201, shown)
    assert added.headers["location"] == f"{SUPPRESSIONS}/{quote(shown, safe='@')}"
    assert client.get(place(listed)).json == client.get(place(sent_to)).json == added.json

    refused = client.notify(sent_to)
    assert refused.status == 201
    assert refused.json["recipient"] == sent_to
    assert (refused.json["status"], refused.json["failureReason"]) == ("failed", "suppressed")
    assert refused.json["lastError"] == f"{shown} is on the suppression list: manual"
    assert refused.json["nextAttemptAt"] is None
    assert refused.json["finishedAt"] == refused.json["createdAt"]
    assert client.get(refused.headers["location"]).json == refused.json

    assert remove(client, sent_to).status == 204
    assert remove(client, sent_to).status == client.get(place(listed)).status == 404
    assert client.notify(sent_to).json["status"] == "pending"


def test_suppressed_notification_is_listed_as_failed(client: CheckedClient) -> None:
    client.post(SUPPRESSIONS, {"address": "listed@example.com"})
    id = client.notify("listed@example.com").json["id"]

    items = client.get(NOTIFICATIONS, status="failed", recipient="listed@example.com").json["items"]
    assert [(item["id"], item["failureReason"]) for item in items] == [(id, "suppressed")]


def test_adding_an_address_again_replaces_its_entry(client: CheckedClient) -> None:
    first = client.post(SUPPRESSIONS, {"address": "twice@example.com", "expiresAt": "2099-01-01T00:00:00+01:00"})
    second = client.post(SUPPRESSIONS, {"address": "twice@example.com", "reason": "unsubscribed"})

    assert (first.status, first.json["expiresAt"]) == (201, "2098-12-31T23:00:00Z")
    assert (second.status, second.json["expiresAt"], second.json["reason"]) == (200, None, "unsubscribed")


def test_the_suppression_list_is_filtered_and_paged(client: CheckedClient) -> None:
    for n in range(3):
        client.post(SUPPRESSIONS, {"address": f"page{n}@example.com", "reason": "bounced"})

    first = client.get(SUPPRESSIONS, reason="bounced", limit=2).json
    second = client.get(SUPPRESSIONS, reason="bounced", limit=2, cursor=first["nextCursor"]).json
    addresses = [item["address"] for item in first["items"] + second["items"]]
    assert addresses == [f"page{n}@example.com" for n in (2, 1, 0)]
    assert second["nextCursor"] is None
    assert client.get(SUPPRESSIONS, createdTo="2020-01-01T00:00:00Z").json["items"] == []
    assert client.get(SUPPRESSIONS, reason="bounced", createdFrom="2020-01-01T00:00:00Z").json["items"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"reason": "bored"}, "reason"),
        ({"cursor": "AA"}, "cursor"),
        ({"cursor": "MjAyNA"}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"address": "a@example.com"}, "address"),
    ],
)
def test_an_invalid_query_is_refused(client: CheckedClient, query: dict[str, object], parameter: str) -> None:
    refused = client.get(SUPPRESSIONS, **query)

    assert refused.status == 400
    assert faults(refused).keys() == {parameter}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({}, "/address"),
        ({"address": "nobody"}, "/address"),
        ({"address": "a@example.com\r\nX: y"}, "/address"),
        ({"address": "a@example.com", "reason": "bored"}, "/reason"),
        ({"address": "a@example.com", "source": "a\nb"}, "/source"),
        ({"address": "a@example.com", "expiresAt": "tomorrow"}, "/expiresAt"),
        ({"address": "a@example.com", "expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
        ({"address": "a@example.com", "until": "2099-01-01T00:00:00Z"}, "/until"),
    ],
)
def test_an_invalid_entry_is_refused(client: CheckedClient, document: object, pointer: str) -> None:
    refused = client.post(SUPPRESSIONS, document)

    assert refused.status == 422
    assert faults(refused).keys() == {pointer}


@pytest.mark.parametrize("address", ["%00", "%ff", "x" * 300, "a%2Fb", "@", "a@example.com%0d%0a"])
def test_invalid_address_is_not_found(client: CheckedClient, address: str) -> None:
    for method in ("GET", "DELETE"):
        assert client.request(method, f"{SUPPRESSIONS}/{address}").status == 404


def test_opening_the_unsubscribe_link_changes_nothing_and_its_button_unsubscribes(client: CheckedClient) -> None:
    id = client.notify("Reader@example.com").json["id"]

    asked = client.get(link(id))
    assert asked.status == 200
    assert b'<form method="post">' in asked.raw
    assert b"reader" not in asked.raw.lower()
    assert client.get(place("reader@example.com")).status == 404

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.request("POST", link(id), b"List-Unsubscribe=One-Click", form).status == 200
    entry = client.get(place("reader@example.com")).json
    assert (entry["reason"], entry["source"]) == ("unsubscribed", f"one click, notification {id}")
    assert client.notify("reader@example.com").json["failureReason"] == "suppressed"


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json", None])
def test_every_encoding_of_the_one_click_form_unsubscribes(client: CheckedClient, content_type: str | None) -> None:
    id = client.notify("many@example.com").json["id"]
    headers = {"Content-Type": content_type} if content_type else {}

    for body in (b"--x", b"", None):
        assert client.request("POST", link(id), body, headers).status == 200
    assert remove(client, "many@example.com").status == 204


def test_the_unsubscribe_page_is_not_cached_framed_or_referred(client: CheckedClient) -> None:
    headers = client.get(link(1)).headers

    assert headers["content-security-policy"].startswith("default-src 'none'; form-action 'self'")
    assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")


@pytest.mark.parametrize("path", ["/u/x", "/u/" + "A" * 32, "/u/%00", "/u/%ff", link(10**15)])
def test_a_forged_unsubscribe_link_changes_nothing(client: CheckedClient, path: str) -> None:
    assert client.request("POST", path).status == 404
