"""Sending domains over the API, the command line and the dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests.contract import CheckedClient, faults
from tests.dashboard import logged_in
from tests.dns_server import DnsServer
from tests.integration.api import Api, running
from tests.keys import client, key

DOMAINS = "/api/domains"
SECRET = "s" * 32


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey, dns: DnsServer) -> Iterator[Api]:
    more: dict[str, Any] = {"domain_keys_secret": SECRET, "dns_server": dns.address, "login_rate": 1_000}
    with running(module_database_url, redis_server.url, auth="required", **more) as api:
        yield api


@pytest.fixture(autouse=True)
def empty(api: Api, dns: DnsServer) -> None:
    api.sql.rows("DELETE FROM domains RETURNING 1")
    dns.texts.clear()
    dns.mx.clear()


@pytest.fixture
def manager(api: Api) -> CheckedClient:
    manager = api.client
    manager.key = str(key(api.sql, ["read", "manage"]))
    return manager


def act(manager: CheckedClient, name: str, what: str) -> Any:
    return manager.request("POST", f"{DOMAINS}/{name}/{what}")


def publish(dns: DnsServer, shown: Any) -> None:
    for record in shown["records"]:
        if record["type"] == "MX":
            dns.mx[record["name"]] = ["10 mail.example.com."]
        else:
            dns.publish(record["name"], record["value"])


def test_a_domain_is_added_published_checked_and_rotated(api: Api, manager: CheckedClient, dns: DnsServer) -> None:
    added = manager.post(DOMAINS, {"domain": "Example.COM", "ed25519": True})
    assert (added.status, added.headers["location"]) == (201, f"{DOMAINS}/example.com")
    assert [record["purpose"] for record in added.json["records"]] == ["dkim", "dkim", "return-path", "dmarc"]
    assert {record["state"] for record in act(manager, "example.com", "check").json["records"]} == {"missing"}

    publish(dns, added.json)
    checked = act(manager, "example.com", "check").json
    assert checked["state"] == "verified"
    assert {record["state"] for record in checked["records"]} == {"found"}
    assert manager.get(f"{DOMAINS}/EXAMPLE.com").json == checked
    assert manager.get(DOMAINS).json == {"items": [checked]}

    rotated = act(manager, "example.com", "rotate").json
    assert [one["state"] for one in rotated["keys"]] == ["current", "current", "new", "new"]
    assert act(manager, "example.com", "rotate").json["keys"] == rotated["keys"]
    acts = api.sql.rows("SELECT act, target FROM audit WHERE act LIKE 'domain.%%' ORDER BY id")
    assert acts == [(f"domain.{what}", "domain example.com") for what in ("added", "rotated")]


def test_adding_a_domain_again_answers_200_with_the_same_keys(manager: CheckedClient) -> None:
    first = manager.post(DOMAINS, {"domain": "example.com"})
    again = manager.post(DOMAINS, {"domain": "example.com"})

    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json


@pytest.mark.parametrize(
    "domain",
    [
        *("", "localhost", "example", "a b.com", "example.com\r\nX: y", "-a.com", "a..com", ".com", "com."),
        *(
            "192.0.2.1",
            "[192.0.2.1]",
            "a@example.com",
            "exa_mple.com",
            "\x00.com",
            f"{'a' * 64}.com",
            "a." * 126 + "com",
        ),
        *("a." * 126 + "com", "*.example.com", "example.com/../x", "exam\u202eple.com"),
    ],
)
def test_an_invalid_domain_name_is_refused(manager: CheckedClient, domain: str) -> None:
    refused = manager.post(DOMAINS, {"domain": domain})

    assert refused.status == 422
    assert set(faults(refused)) == {"/domain"}


def test_a_domain_in_unicode_is_kept_in_ascii(manager: CheckedClient) -> None:
    assert manager.post(DOMAINS, {"domain": "münchen.example"}).json["domain"] == "xn--mnchen-3ya.example"
    assert manager.get(f"{DOMAINS}/m%C3%BCnchen.example").status == 200


def test_an_unknown_field_is_refused(manager: CheckedClient) -> None:
    assert set(faults(manager.post(DOMAINS, {"domain": "example.com", "privateKey": "x"}))) == {"/privateKey"}


def test_clients_see_and_change_only_their_own_domains(api: Api, manager: CheckedClient) -> None:
    assert manager.post(DOMAINS, {"domain": "example.com"}).status == 201
    other = api.client
    other.key = str(key(api.sql, ["read", "manage"], of=client(api.sql, "other")))

    assert other.get(DOMAINS).json == {"items": []}
    for method, place in (("GET", ""), ("DELETE", ""), ("POST", "/check"), ("POST", "/rotate")):
        assert other.request(method, f"{DOMAINS}/example.com{place}").status == 404
    theirs = other.post(DOMAINS, {"domain": "example.com"}).json
    assert theirs["keys"] != manager.get(f"{DOMAINS}/example.com").json["keys"]


def test_a_removed_domain_is_a_404(manager: CheckedClient) -> None:
    assert manager.post(DOMAINS, {"domain": "example.com"}).status == 201
    assert manager.request("DELETE", f"{DOMAINS}/example.com").status == 204
    assert manager.request("DELETE", f"{DOMAINS}/example.com").status == 404


def test_no_answer_log_or_export_has_a_private_key(api: Api, manager: CheckedClient) -> None:
    answer = manager.post(DOMAINS, {"domain": "example.com", "ed25519": True})
    stored = [bytes(sealed).decode() for (sealed,) in api.sql.rows("SELECT private_key FROM domain_keys")]
    exported = manager.get("/api/export").raw.decode()

    assert len(stored) == 2
    assert '"kind":"domain"' in exported
    assert '"domain":"example.com"' in exported
    for text in (answer.raw.decode(), api.log, exported):
        assert not any(sealed[:40] in text for sealed in stored)
        assert "PRIVATE" not in text


def test_without_the_secret_a_domain_is_refused_with_what_to_do(module_database_url: str, redis_server: Valkey) -> None:
    with running(module_database_url, redis_server.url) as plain:
        refused = plain.client.post(DOMAINS, {"domain": "example.com"})

    assert refused.status == 409
    assert "DOMAIN_KEYS_SECRET" in refused.json["detail"]


def test_dns_without_an_answer_is_reported_within_a_bounded_time(manager: CheckedClient, dns: DnsServer) -> None:
    added = manager.post(DOMAINS, {"domain": "example.com"}).json
    dns.silent.update(record["name"] for record in added["records"])

    checked = act(manager, "example.com", "check")

    assert checked.status == 200
    assert {record["state"] for record in checked.json["records"]} == {"unknown"}
    dns.silent.clear()


def test_the_dashboard_adds_checks_rotates_and_removes_a_domain(api: Api, dns: DnsServer) -> None:
    person = logged_in(api, "read", "manage")
    place = "/domains/example.com"

    assert person.submit("/domains", {"domain": "example.com"}).headers["location"].endswith(place)
    assert "it was not checked yet" in person.get(place).text
    assert person.submit(place, {"check": "yes"}).status == 303
    assert "there is no TXT record at this name" in person.get(place).text
    assert person.submit(place, {"rotate": "yes"}).status == 303
    assert "Domain must be a domain" in person.submit("/domains", {"domain": "nobody"}).text
    assert "Remove example.com?" in person.get(f"{place}/remove").text
    assert person.submit(f"{place}/remove").status == 303
    assert person.get(place).status == 404


def test_a_key_with_the_scope_read_sees_domains_and_cannot_change_them(api: Api, manager: CheckedClient) -> None:
    assert manager.post(DOMAINS, {"domain": "example.com"}).status == 201
    reader = logged_in(api, "read")

    page = reader.get("/domains/example.com").text
    assert "_domainkey.example.com" in page
    assert "Rotate" not in page
    for place in ("/domains", "/domains/example.com", "/domains/example.com/remove"):
        assert reader.submit("/domains/example.com", {"domain": "a.example"}, to=place).status == 403


def test_values_found_in_dns_are_shown_as_text(manager: CheckedClient, dns: DnsServer) -> None:
    added = manager.post(DOMAINS, {"domain": "example.com"}).json
    dns.publish(added["records"][0]["name"], "<script>\x1b[31m" + "x" * 2_000)

    record = act(manager, "example.com", "check").json["records"][0]

    assert record["state"] == "wrong"
    assert len(json.dumps(record["found"])) < 600
    assert "\x1b" not in record["found"][0]
