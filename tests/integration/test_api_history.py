"""The history over HTTP and as a page: the counts that a key may see, and their form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from db import database, history
from tests.contract import CheckedClient, faults
from tests.dashboard import logged_in
from tests.environment import configured
from tests.integration.api import Api, running
from tests.keys import client as another
from tests.keys import key

PATH = "/api/history"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


@pytest.fixture(scope="module")
def other(api: Api) -> int:
    """Another client, and what it and the default one have sent."""
    other = another(api.sql, "shop")
    for whose, number, failed in ((1, 30, 10), (other, 5, 0)):
        database.rows(
            "INSERT INTO history_new (client_id, type, priority, tags, template, outcome, class, number) VALUES"
            " (%s, 'email', 'normal', '[\"welcome\", \"\"]', 'hello', 'sent', 3, %s),"
            " (%s, 'email', 'bulk', NULL, NULL, 'failed', 0, %s)",
            *(whose, number, whose, failed or 1),
        )
    for outcome, number in (("reported", 4), ("delivered", 3), ("bounced", 1)):
        database.rows(
            "INSERT INTO history_new (client_id, type, priority, domain, outcome, class, number)"
            " VALUES (1, 'email', 'normal', 'shop.example', %s, 0, %s)",
            *(outcome, number),
        )
    assert history.fold(100) == 7
    return other


def with_key(api: Api, scopes: list[str], of: int = 1) -> CheckedClient:
    client = api.client
    client.key = str(key(api.sql, scopes, of=of))
    return client


def sent(client: CheckedClient, **query: object) -> int:
    return int(client.get(PATH, **query).json["total"]["sent"])


def test_a_key_sees_the_counts_of_its_client(api: Api, other: int) -> None:
    told = with_key(api, ["read"]).get(PATH).json
    assert told["total"] == {
        **{"sent": 30, "failed": 10, "cancelled": 0, "successRate": 0.75},
        **{"secondsP50": 1.0, "secondsP95": 1.0},
        **{"reported": 4, "delivered": 3, "bounced": 1, "complained": 0},
    }
    assert (told["window"], told["by"], len(told["points"])) == ("24h", "type", 24)
    assert [item["value"] for item in told["items"]] == ["email"]
    assert told["points"][-1]["sent"] == 30
    assert sent(with_key(api, ["read"], other)) == 5


def test_each_dimension_is_shown_with_others_last(api: Api, other: int) -> None:
    client = with_key(api, ["read"])

    def values(by: str) -> list[tuple[str | None, int, int]]:
        items = client.get(PATH, by=by, window="30d").json["items"]
        return [(item["value"], item["sent"], item["failed"]) for item in items]

    assert values("tag") == [("welcome", 30, 0), (None, 30, 0)]
    assert values("template") == [("hello", 30, 0)]
    assert values("priority") == [("normal", 30, 0), ("bulk", 0, 10)]
    assert values("client") == [("default", 30, 10)]
    assert values("domain") == [("shop.example", 0, 0)]


def test_an_admin_sees_the_history_of_all_clients_or_of_one(api: Api, other: int) -> None:
    admin = with_key(api, ["read", "admin"])
    assert sent(admin) == 35
    assert sent(admin, clientId=other) == 5
    assert [(i["value"], i["sent"]) for i in admin.get(PATH, by="client").json["items"]] == [
        ("default", 30),
        ("shop", 5),
    ]


def test_the_history_of_another_client_needs_the_scope_admin(api: Api, other: int) -> None:
    client = with_key(api, ["read"])
    refused = client.get(PATH, clientId=other)
    assert (refused.status, "scope 'admin'" in refused.json["detail"]) == (403, True)
    assert sent(client, clientId=1) == 30


@pytest.mark.parametrize("window", ["24h", "7d", "30d"])
def test_a_window_in_which_nothing_ended_has_only_zeros(api: Api, window: str) -> None:
    told = with_key(api, ["read"], another(api.sql, f"quiet {window}")).get(PATH, window=window).json
    assert {point["sent"] for point in told["points"]} == {0}
    assert (told["total"]["successRate"], told["total"]["secondsP95"], told["items"]) == (None, None, [])


def test_invalid_parameters_are_reported_together(api: Api) -> None:
    refused = with_key(api, ["read"]).get(PATH, window="1h", by="recipient", clientId="x", more=1)
    assert refused.status == 400
    assert {error["parameter"] for error in refused.json["errors"]} == {"window", "by", "clientId", "more"}
    assert "must be one of: 24h, 7d, 30d" in faults(refused).values()


def test_the_page_of_the_history_shows_the_chosen_client(api: Api, other: int) -> None:
    page = logged_in(api, "read").get("/history?window=7d&by=tag")
    assert "Sent 30 Failed 10 Cancelled 0 Success rate 75 %" in page.text
    assert "welcome" in page.text
    assert "others" in page.text
    assert "All clients" not in page.text
    assert page.html.count('<rect class="slot"') == 2 * 28


def test_the_page_of_the_history_shows_all_clients_to_an_admin(api: Api, other: int) -> None:
    admin = logged_in(api, "read", "admin")
    assert "Sent 30 Failed" in admin.get("/history").text
    together = admin.get("/history?clients=all&by=client").text
    assert "Sent 35 Failed" in together
    assert "shop sent 5" in together
    assert logged_in(api, "read").get("/history?clients=all").status == 400
    assert logged_in(api, "read").get("/history?by=x").status == 400
