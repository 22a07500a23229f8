"""The dashboard says why nothing is sent: a banner on every page, and the reasons on the page of a notification."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.client import Client
from tests.dashboard import Person, logged_in
from tests.eventually import eventually
from tests.furnishing import failed, pending
from tests.integration.api import NOWHERE, Api, running
from tests.keys import client, key

SERVER = NOWHERE.removeprefix("smtp://")
ALIVE = "INSERT INTO workers (id, host, pid, threads) VALUES (gen_random_uuid(), 'a', 1, 8) RETURNING 1"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000, worker_timeout=600) as one:
        yield one


@pytest.fixture(autouse=True)
def calm(api: Api) -> None:
    """One worker that is alive, and nothing else until the test begins."""
    for table in ("workers", "pauses", "providers"):
        api.sql.rows(f"DELETE FROM {table} RETURNING 1")
    api.sql.rows(ALIVE)
    assert logged_in(api, "read", "admin").get("/").status == 200


def due(api: Api, *, of: int = 1, kind: str = "email") -> int:
    [(id,)] = api.sql.rows(
        "INSERT INTO notifications (type, recipient, subject, message, client_id)"
        " VALUES (%s, 'a@example.com', 'Hi', 'Hello', %s) RETURNING id",
        *(kind, of),
    )
    return int(id)


def bears(person: Person, path: str, words: str) -> bool:
    top, _, _ = person.get(path).html.partition("<main")
    return words in " ".join(re.sub(r"<[^>]*>", " ", top).split())


PATHS = ("/", "/notifications", "/failures", "/templates", "/suppressions", "/failures/none", "/notifications?status=x")


def test_no_page_has_a_banner_while_nothing_is_wrong(api: Api) -> None:
    person = logged_in(api, "read", "admin")
    for path in PATHS:
        eventually(lambda path=path: 'class="banner"' not in person.get(path).html)  # type: ignore[misc]


EXHAUSTED = f"""INSERT INTO providers (name, config, exhausted_until)
    VALUES ('{SERVER}', jsonb_build_object('channel', 'email', 'daily', 500), now() + interval '1 hour')"""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (EXHAUSTED, f"The daily limit of {SERVER} is reached"),
        (f"INSERT INTO providers (name, opened_at, reason, probe_after, wait) VALUES ('{SERVER}', now(), '421 <busy>',"
         " now(), 5)", f"{SERVER} is down"),
        ("INSERT INTO pauses (kind, name) VALUES ('channel', 'email')", "The channel email is paused"),
        ("INSERT INTO pauses (kind, name) VALUES ('client', '1')", "This client is paused"),
        ("INSERT INTO pauses (kind, name) VALUES ('disabled', '1')", "This client is disabled"),
        ("DELETE FROM workers", "No worker is alive"),
        ("UPDATE workers SET seen_at = now() - interval '1 day'", "No worker is alive"),
    ],
    ids=["daily limit", "breaker", "channel", "client", "disabled", "no worker", "silent worker"],
)  # fmt: skip
def test_every_page_says_what_is_wrong(api: Api, wrong: str, words: str) -> None:
    person = logged_in(api, "read")
    api.sql.rows(f"{wrong} RETURNING 1")
    for path in PATHS:
        eventually(lambda path=path: bears(person, path, words))  # type: ignore[misc]
    assert "<busy>" not in person.get("/notifications").html


def test_the_banner_disappears_with_its_reason(api: Api) -> None:
    person = logged_in(api, "read")
    api.sql.rows("INSERT INTO pauses (kind, name) VALUES ('channel', 'email') RETURNING 1")
    eventually(lambda: bears(person, "/failures", "is paused"))
    api.sql.rows("UPDATE pauses SET resumed_at = now() RETURNING 1")
    eventually(lambda: not bears(person, "/failures", "is paused"))


def test_a_pause_of_another_client_is_shown_to_admins_only(api: Api) -> None:
    other = client(api.sql, "held")
    api.sql.rows("INSERT INTO pauses (kind, name) VALUES ('client', %s) RETURNING 1", str(other))
    api.sql.rows("INSERT INTO pauses (kind, name) VALUES ('disabled', '4711') RETURNING 1")
    eventually(lambda: bears(logged_in(api, "read", "admin"), "/failures", f"Client {other} is paused"))
    assert not bears(logged_in(api, "read", "admin"), "/failures", "4711")
    assert not bears(logged_in(api, "read", "manage"), "/failures", "is paused")
    assert bears(logged_in(api, "read", of=other), "/failures", "This client is paused")


def test_the_login_page_shows_no_banner(api: Api) -> None:
    api.sql.rows("DELETE FROM workers RETURNING 1")
    eventually(lambda: bears(logged_in(api, "read"), "/failures", "No worker is alive"))
    assert "worker" not in Person(api.port).get("/login").html


def why(person: Person, id: int) -> str:
    text = person.get(f"/notifications/{id}").text
    _, found, told = text.partition("Why it waits")
    return told.partition("Timeline")[0] if found else ""


def test_a_due_notification_says_how_many_are_ahead_of_it(api: Api) -> None:
    other = client(api.sql, "queued")
    first, second, third = (due(api, of=other) for _ in range(3))
    person = logged_in(api, "read", of=other)
    assert "No due notification of this client and priority was accepted earlier" in why(person, first)
    assert "1 due notification of" in why(person, second)
    assert "2 due notifications of" in why(person, third)


def test_a_notification_for_later_says_when(api: Api) -> None:
    told = why(logged_in(api, "read"), pending(api.sql))
    assert "It is scheduled for" in told
    assert "in 24 h" in told or "in 1.0 d" in told


def test_a_retry_says_when(api: Api) -> None:
    id = due(api)
    api.sql.rows(
        "UPDATE notifications SET attempt_count = 1, retry_count = 1, next_attempt_at = now() + interval '90 s'"
        " WHERE id = %s RETURNING 1",
        id,
    )
    assert "Attempt 2 is made at" in why(logged_in(api, "read"), id)


def test_a_throttled_notification_says_since_when(api: Api) -> None:
    id = due(api)
    api.sql.rows("UPDATE notifications SET throttled_since = now() WHERE id = %s RETURNING 1", id)
    assert "rate is limited since" in why(logged_in(api, "read"), id)


def test_a_notification_limited_to_a_provider_shows_which_one_it_waits_for(api: Api) -> None:
    id = due(api)
    said = "waits for gone: its client may use no other provider"
    api.sql.rows(
        "UPDATE notifications SET throttled_since = now(), last_error = %s WHERE id = %s RETURNING 1", said, id
    )
    assert f"It {said} , since" in why(logged_in(api, "read"), id)
    assert "our rate" not in why(logged_in(api, "read"), id)


def test_a_throttled_notification_says_why(api: Api) -> None:
    id = due(api)
    api.sql.rows(
        "UPDATE notifications SET throttled_since = now(), last_error = 'waits because a.example takes no more now'"
        " WHERE id = %s RETURNING 1",
        id,
    )
    assert ": waits because a.example takes no more now" in why(logged_in(api, "read"), id)


def test_a_daily_limit_that_is_reached_says_when_it_is_free_again(api: Api) -> None:
    id, other = due(api), due(api, kind="sms")
    api.sql.rows(f"{EXHAUSTED} RETURNING 1")
    assert f"The daily limit of {SERVER} is reached (500 in 24 hours). It is free again at" in why(
        logged_in(api, "read"), id
    )
    assert "daily limit" not in why(logged_in(api, "read"), other)
    api.sql.rows("UPDATE providers SET exhausted_until = now() RETURNING 1")
    assert "daily limit" not in why(logged_in(api, "read"), id)


def test_a_final_notification_does_not_wait(api: Api) -> None:
    assert why(logged_in(api, "read"), failed(api.sql)) == ""


def test_a_provider_that_is_down_holds_mail_and_no_sandbox(api: Api) -> None:
    id = due(api)
    api.sql.rows(
        "INSERT INTO providers (name, opened_at, reason, probe_after, wait) VALUES (%s, now(), '421 busy', now(), 5)"
        " RETURNING 1",
        SERVER,
    )
    assert f"{SERVER} is down since" in why(logged_in(api, "read"), id)
    assert "421 busy" in why(logged_in(api, "read"), id)
    assert "is down" not in why(logged_in(api, "read"), pending(api.sql, sandbox=True))


def pause(api: Api, path: str) -> None:
    one = Client(api.port)
    one.key = str(key(api.sql, ["read", "manage", "admin"]))
    assert one.request("PUT", f"/api/pauses/{path}").status == 200


def test_a_paused_notification_says_who_paused_it(api: Api) -> None:
    id = due(api)
    pause(api, "client")
    pause(api, "channels/email")
    told = why(logged_in(api, "read", "admin"), id)
    assert "The client was paused by the key" in told
    assert "The channel email was paused by the key" in told
    assert "( test )" in told
    plain = why(logged_in(api, "read"), id)
    assert "The client was paused by the key" in plain
    assert "The channel email was paused ," in plain


def test_a_domain_that_a_provider_refuses_is_shown_to_admins_only(api: Api) -> None:
    api.sql.rows(
        "INSERT INTO refused_domains (provider, domain, opened_at, reason, probe_after, wait)"
        " VALUES (%s, 'shop.example', now(), '550 5.7.26 DMARC', now(), 5) RETURNING 1",
        SERVER,
    )
    try:
        words = f"{SERVER} refuses mail From shop.example"
        eventually(lambda: bears(logged_in(api, "read", "admin"), "/notifications", words))
        # Each API process reads the obstacles for itself.
        eventually(lambda: bears(logged_in(api, "read", "admin"), "/", words))
        assert not bears(logged_in(api, "read"), "/notifications", words)
    finally:
        api.sql.rows("DELETE FROM refused_domains RETURNING 1")
