"""Clients that may use only some providers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from actors import provider_queue
from db import breaker, clients
from db.database import rows
from settings import Settings
from tests.integration.delivering import Process
from tests.integration.rows import passed, row, status
from tests.integration.several_providers import DOWN, Make, accept, counts, deliver, processes, three_servers
from tests.smtp import Drop, SmtpServer

pytestmark = pytest.mark.long


@pytest.fixture
def servers() -> Iterator[list[SmtpServer]]:
    with three_servers() as servers:
        yield servers


@pytest.fixture
def make(store: Settings, servers: list[SmtpServer]) -> Iterator[Make]:
    with processes(servers) as make:
        yield make


def restricted(*names: str, channel: str = "email") -> int:
    """Return a client that may use only these providers."""
    client = clients.create(f"client {uuid4()}", {"providers": {channel: list(names)}})
    assert client is not None
    return client.id


def told(process: Process) -> None:
    """The process learns what clients may use, as with the next round of upkeep."""
    process.delivery.access.refresh()


def test_a_client_with_a_list_uses_only_its_providers_and_others_use_all(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=2", "priority=2")
    own = accept(4, client_id=restricted("second"))
    others = accept(4)
    told(process)

    deliver(process, [*own, *others])

    assert {status(id) for id in (*own, *others)} == {"sent"}
    assert counts(servers) == [4, 4, 0]
    assert rows("SELECT DISTINCT provider FROM attempts WHERE notification_id = ANY(%s)", own) == [("second",)]


def test_a_list_for_another_channel_restricts_nothing(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=2")
    ids = accept(2, client_id=restricted("texts", channel="sms"))
    told(process)

    deliver(process, ids)

    assert counts(servers) == [2, 0, 0]


def test_the_providers_of_a_list_keep_their_priorities(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=3", "priority=2")
    ids = accept(3, client_id=restricted("second", "third"))
    told(process)

    deliver(process, ids)

    assert counts(servers) == [0, 0, 3]


def test_failover_stays_within_the_list(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=2", "priority=3")
    servers[0].on("connect", DOWN, times=None)
    ids = accept(3, client_id=restricted("first", "third"))
    told(process)

    for id in (*ids, *ids):
        deliver(process, [id])

    assert {status(id) for id in ids} == {"sent"}
    assert counts(servers) == [0, 0, 3]
    assert {row(id)["attempt_count"] for id in ids} == {1}


def test_without_a_provider_of_its_list_a_notification_waits_at_no_cost(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=2")
    client = restricted("gone")
    [id] = accept(1, client_id=client)
    told(process)

    deliver(process, [id])

    assert (status(id), row(id)["attempt_count"]) == ("pending", 0)
    assert row(id)["last_error"] == "waits for gone: its client may use no other provider"
    assert counts(servers) == [0, 0, 0]

    clients.update(client, {"providers": None})
    told(process)
    passed(3600, id)
    deliver(process, [id])
    assert (status(id), counts(servers)) == ("sent", [1, 0, 0])


def test_a_notification_waits_while_all_providers_of_its_list_are_down_and_others_are_sent(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2")
    [own] = accept(1, client_id=restricted("second"))
    [other] = accept(1)
    breaker.trip("second", "down", 100)
    process.delivery.routers["email"].queues[1].breaker.refresh()
    told(process)

    deliver(process, [own, other])

    assert (status(own), row(own)["last_error"]) == ("pending", "waits for second")
    assert (status(other), counts(servers)) == ("sent", [1, 0, 0])


def test_a_provider_is_not_tested_with_a_notification_of_a_client_that_may_not_use_it(
    make: Make, servers: list[SmtpServer]
) -> None:
    make("priority=1", "priority=2")
    accept(1, client_id=restricted("second"))

    queues = ["high", "normal", "bulk"]
    assert breaker.next_probe(100, "first", "email", queues) == []
    assert len(breaker.next_probe(100, "second", "email", queues)) == 1
    [free] = accept(1)
    assert breaker.next_probe(100, "first", "email", queues) == [free]


def test_a_mail_that_a_no_longer_allowed_provider_may_have_taken_waits(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=2")
    client = restricted("first")
    [id] = accept(1, client_id=client)
    told(process)
    servers[0].on("dot", Drop())
    deliver(process, [id])
    assert (row(id)["attempt_count"], row(id)["bound_provider"]) == (1, "first")
    copies = counts(servers)

    clients.update(client, {"providers": {"email": ["second"]}})
    told(process)
    passed(3600, id)
    deliver(process, [id])

    assert (status(id), counts(servers)) == ("pending", copies)
    assert row(id)["last_error"] == "waits for first, which may have taken it; its client may not use it any more"


def test_the_row_of_a_restricted_client_names_no_provider_until_one_of_its_list_is_chosen(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2")
    [own] = accept(1, client_id=restricted("second"))
    [other] = accept(1)

    process.claim_for([own, other], "first")

    assert (row(own)["claimed_provider"], row(other)["claimed_provider"]) == (None, "first")


def test_a_change_of_a_list_applies_to_notifications_in_the_queue_of_a_provider(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2")
    client = restricted("first")
    [id] = accept(1, client_id=client)
    told(process)
    [claimed] = process.claim([id])
    router = process.delivery.routers["email"]
    assert [queue.name for queue in router.able(claimed)] == ["first"]

    clients.update(client, {"providers": {"email": ["second"]}})
    told(process)

    assert [queue.name for queue in router.able(claimed)] == ["second"]


def test_a_malformed_provider_list_of_a_client_is_not_stored(store: Settings) -> None:
    with pytest.raises(Exception, match="clients_providers_check"):
        rows("UPDATE clients SET providers = %s", json.dumps(["first"]))


def test_while_a_better_provider_is_paused_clients_that_may_not_use_it_go_on(
    make: Make, servers: list[SmtpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = make("priority=1", "priority=2", "priority=3")
    own = accept(3, client_id=restricted("second", "third"))
    [other], [both] = accept(1), accept(1, client_id=restricted("first", "third"))
    told(process)
    monkeypatch.setattr(process.mails.limits, "pause", lambda _now: 3_600.0)
    monkeypatch.setattr(provider_queue, "MOMENT", 0.01)

    deliver(process, [other, *own, both])

    assert {status(id) for id in own} == {"sent"}
    assert (status(other), status(both)) == ("pending", "pending")
    assert counts(servers) == [0, 3, 0]
    assert row(other)["claim"] == row(both)["claim"] == 0


def test_without_a_free_provider_nobody_goes_on(
    make: Make, servers: list[SmtpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = make("priority=1", "priority=2")
    [own], [other] = accept(1, client_id=restricted("second")), accept(1)
    told(process)
    for queue in process.delivery.routers["email"].queues:
        monkeypatch.setattr(queue.limits, "pause", lambda _now: 3_600.0)
    monkeypatch.setattr(provider_queue, "MOMENT", 0.01)

    deliver(process, [own, other])

    assert (status(own), status(other), counts(servers)) == ("pending", "pending", [0, 0, 0])
