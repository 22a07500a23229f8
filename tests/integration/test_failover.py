"""Several mail servers: which one takes a mail, and when another one may send it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest

from actors.channels import NoConnection
from actors.channels.email.smtp_provider import SmtpProvider
from db import breaker, lifecycle, providers
from db.database import rows
from settings import Settings
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import history, passed, row, status
from tests.integration.several_providers import DOWN, Make, accept, counts, deliver, processes, three_servers
from tests.smtp import Drop, Reply, SmtpServer
from tests.smtp.script import Phase

pytestmark = pytest.mark.long


@pytest.fixture
def servers() -> Iterator[list[SmtpServer]]:
    with three_servers() as servers:
        yield servers


@pytest.fixture
def make(store: Settings, servers: list[SmtpServer]) -> Iterator[Make]:
    with processes(servers) as make:
        yield make


def test_the_best_priority_gets_all_mails_while_it_works(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=2", "priority=1", "priority=2")
    ids = accept(20)

    process.deliver(ids)

    assert counts(servers) == [0, 20, 0]
    assert {status(id) for id in ids} == {"sent"}
    assert {name for (name,) in rows("SELECT provider FROM attempts")} == {"second"}


def test_providers_of_one_priority_share_the_mails_by_their_weights(make: Make, servers: list[SmtpServer]) -> None:
    process = make("weight=3", "weight=1", "weight=4")
    for id in accept(160):
        process.deliver([id])

    shares = counts(servers)
    assert sum(shares) == 160
    # Five standard deviations of the largest share.
    assert all(abs(got - 20 * part) < 32 for got, part in zip(shares, (3, 1, 4), strict=True))


def test_a_probe_that_gets_no_connection_is_available_again_at_once(
    make: Make, servers: list[SmtpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise NoConnection("too many connections")

    process = make("priority=1")
    breaker.trip("first", "down", 0)
    process.breaker.refresh()
    [id] = accept(1)
    monkeypatch.setattr(SmtpProvider, "connect", refused)

    deliver(process, [id])

    assert (status(id), servers[0].mails) == ("pending", [])
    assert rows("SELECT probe_by FROM providers WHERE opened_at IS NOT NULL") == [(None,)]


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data"], ids=lambda phase: f"down at {phase}")
def test_a_mail_that_a_dead_provider_has_not_taken_goes_through_another_at_no_cost(
    make: Make, servers: list[SmtpServer], phase: Phase
) -> None:
    process = make("priority=1", "priority=2")
    servers[0].on(phase, DOWN, times=None)
    ids = accept(12)

    deliver(process, ids)
    for id in ids:  # What waited for the first provider when its breaker opened was handed back.
        deliver(process, [id])

    assert {status(id) for id in ids} == {"sent"}
    assert {(row(id)["attempt_count"], row(id)["retry_count"]) for id in ids} == {(1, 0)}
    assert {history(id)[-1] for id in ids} == {"sent"}
    assert sorted(mail.recipients[0] for mail in servers[1].mails) == sorted(f"{n}@example.com" for n in range(12))


def test_a_mail_that_all_providers_refuse_to_take_now_costs_one_attempt(make: Make, servers: list[SmtpServer]) -> None:
    for server in servers:
        server.on("rcpt", Reply(451, "4.7.1 not now"), times=None)
    process = make("", "", "")
    [id] = accept(1)

    deliver(process, [id])

    assert (status(id), row(id)["attempt_count"], history(id)) == ("pending", 1, ["deferred"])
    assert [len(server.refusals) for server in servers] == [1, 1, 1]


def test_a_refused_recipient_is_not_tried_through_another_provider(make: Make, servers: list[SmtpServer]) -> None:
    servers[0].on("rcpt", Reply(550, "5.7.1 no"), times=None)
    process = make("priority=1", "priority=2")
    [id] = accept(1)

    deliver(process, [id])

    assert (status(id), row(id)["failure_reason"], counts(servers)) == ("failed", "rejected", [0, 0, 0])


def uncertain(servers: list[SmtpServer], make: Make, **fields: object) -> tuple[Process, int]:
    """Return a mail whose content the first provider got and did not answer, and the process that sent it."""
    servers[0].on("dot", Drop())
    process = make("priority=1", "priority=2")
    [id] = accept(1, **fields)
    deliver(process, [id])
    assert history(id) == ["uncertain"]
    return process, id


def test_a_mail_that_may_have_been_taken_is_never_sent_through_another_provider(
    make: Make, servers: list[SmtpServer]
) -> None:
    process, id = uncertain(servers, make)
    assert row(id)["bound_provider"] == "first"
    breaker.trip("first", "down", 100)
    process.breaker.refresh()
    passed(3600, id)

    deliver(process, [id])

    assert (status(id), counts(servers)[1]) == ("pending", 0)
    assert row(id)["last_error"] == "waits for first, which may have taken it"
    assert row(id)["attempt_count"] == 1
    breaker.close("first")
    process.breaker.refresh()
    passed(3600, id)
    deliver(process, [id])
    assert (status(id), counts(servers)) == ("sent", [1, 0, 0])


def test_a_mail_that_waits_for_the_only_provider_that_may_send_it_loses_no_attempt(
    make: Make, servers: list[SmtpServer]
) -> None:
    process, id = uncertain(servers, make)
    servers[0].on("mail", DOWN, times=None)

    for _ in range(6):
        passed(3600, id)
        deliver(process, [id])

    assert (status(id), row(id)["attempt_count"], counts(servers)[1]) == ("pending", 1, 0)
    assert row(id)["last_error"] == "waits for first, which may have taken it"
    servers[0].clear()
    breaker.close("first")
    process.breaker.refresh()
    passed(3600, id)
    deliver(process, [id])
    assert (status(id), counts(servers)) == ("sent", [1, 0, 0])


def test_with_failover_always_an_uncertain_mail_is_sent_through_another_provider(
    make: Make, servers: list[SmtpServer]
) -> None:
    process, id = uncertain(servers, make, failover="always")
    assert row(id)["bound_provider"] is None
    breaker.trip("first", "down", 100)
    process.breaker.refresh()
    passed(3600, id)

    deliver(process, [id])

    assert (status(id), counts(servers)) == ("sent", [0, 1, 0])


def test_with_hold_an_uncertain_mail_is_not_sent_again(make: Make, servers: list[SmtpServer]) -> None:
    _, id = uncertain(servers, make, on_uncertain="hold")

    assert (status(id), row(id)["failure_reason"], counts(servers)) == ("failed", "outcome-unknown", [0, 0, 0])


def test_a_provider_that_comes_back_is_tested_with_one_mail_while_the_others_continue(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2", probe_wait=0.1, probe_wait_max=100)
    breaker.trip("first", "down", 0)
    process.breaker.refresh()
    ids = accept(10)

    process.deliver(ids)

    assert counts(servers)[:2] == [1, 9]
    assert {status(id) for id in ids} == {"sent"}
    assert not process.breaker.open
    # Freshly recovered, it gets only a part of the mails.
    process.breaker.refresh()
    for id in accept(40):
        process.deliver([id])
    assert counts(servers)[1] > 9


def test_a_failed_probe_is_sent_by_another_provider(make: Make, servers: list[SmtpServer]) -> None:
    servers[0].on("mail", DOWN, times=None)
    process = make("priority=1", "priority=2", probe_wait=0.1, probe_wait_max=100)
    breaker.trip("first", "down", 0)
    process.breaker.refresh()
    ids = accept(5)

    process.deliver(ids)

    assert (counts(servers)[:2], {status(id) for id in ids}) == ([0, 5], {"sent"})
    assert process.breaker.open


def test_a_provider_that_is_switched_off_gets_nothing(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1", "priority=2")
    providers.report("first", {"weight": 1})
    providers.change("first", {"enabled": False})
    process.breaker.refresh()

    process.deliver(accept(5))

    assert counts(servers) == [0, 5, 0]
    providers.change("first", {"enabled": True})
    process.breaker.refresh()
    process.deliver(accept(5))
    assert counts(servers) == [5, 5, 0]


def test_a_weight_set_by_operators_replaces_that_of_the_url(make: Make, servers: list[SmtpServer]) -> None:
    process = make("weight=1", "weight=1")
    providers.report("second", {"weight": 1})
    providers.change("second", {"weight": 1000})
    process.delivery.routers["email"].queues[1].breaker.refresh()
    for id in accept(30):
        process.deliver([id])

    assert counts(servers)[1] >= 28


def test_a_worker_that_dies_leaves_its_mails_to_the_provider_that_may_have_taken_them(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2")
    ids = accept(3)
    claimed = process.claim_for(ids, "first")
    rows("UPDATE notifications SET claimed_by = %s WHERE id = ANY(%s)", str(uuid4()), ids)
    assert len(claimed) == 3
    steady(process)

    assert sorted(lifecycle.rescue(process.worker, 1, 1, 5, 100)) == ids

    assert [row(id)["bound_provider"] for id in ids] == ["first"] * 3
    assert Counter(rows("SELECT outcome, provider FROM attempts")) == {("lost", "first"): 3}


def test_an_attempt_is_refused_if_another_worker_has_claimed_the_mail_before_it_is_moved(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2")
    [id] = accept(1)
    [claimed] = process.claim_for([id], "first")

    rows("UPDATE notifications SET claim = claim + 1 WHERE id = %s", id)

    assert lifecycle.reroute([(id, claimed.claim)], "second") == []
    assert lifecycle.reroute([(id, claimed.claim + 1)], "second") == [id]
    rows("UPDATE notifications SET claim = claim + 1 WHERE id = %s", id)
    assert row(id)["claimed_provider"] == "second"


def test_the_connection_is_cut_at_every_phase_and_with_hold_no_mail_arrives_twice(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2", "priority=3")
    phases: tuple[Phase, ...] = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot")
    for phase in phases:
        servers[0].on(phase, Drop(), times=2)
        ids = accept(4, on_uncertain="hold")
        deliver(process, ids)
        eventually(lambda ids=ids: not {status(id) for id in ids} & {"processing"})  # type: ignore[misc]
        for id in ids:
            passed(3600, id)
            deliver(process, [id])
        breaker.close("first")
        process.breaker.refresh()

    copies = sum((server.copies() for server in servers), Counter[str]())
    assert set(copies.values()) == {1}
    finals = Counter((row[0], row[1]) for row in rows("SELECT status, failure_reason FROM notifications"))
    assert set(finals) <= {("sent", None), ("failed", "outcome-unknown")}
    assert sum(copies.values()) >= finals["sent", None]


def steady(process: Process) -> None:
    """Make the process an observer that may take others for dead."""
    rows(
        "INSERT INTO workers (id, host, pid, threads, steady_since) VALUES (%s, 'h', 1, 1, now() - interval '1 day')",
        str(process.worker),
    )


def test_a_provider_whose_daily_limit_is_used_up_is_passed_over_until_it_is_free(
    make: Make, servers: list[SmtpServer]
) -> None:
    process = make("priority=1", "priority=2")
    breaker_of_first = process.delivery.routers["email"].queues[0].breaker
    providers.report("first", {"daily": 10})
    providers.record_daily("first", {}, 60.0)
    breaker_of_first.refresh()
    ids = accept(10)

    process.deliver(ids)

    assert counts(servers)[:2] == [0, 10]
    assert (breaker_of_first.usable, breaker_of_first.open) == (False, False)
    assert {row(id)["retry_count"] for id in ids} == {0}

    rows("UPDATE providers SET exhausted_until = now() RETURNING 1")
    breaker_of_first.refresh()
    process.deliver(accept(10))

    assert counts(servers)[0] > 0


def test_with_no_provider_left_notifications_wait_and_nothing_is_a_probe(make: Make, servers: list[SmtpServer]) -> None:
    process = make("priority=1")
    queue = process.delivery.routers["email"].queues[0]
    providers.report("first", {"daily": 10})
    providers.record_daily("first", {}, 60.0)
    queue.breaker.refresh()
    ids = accept(3)

    deliver(process, ids)

    assert counts(servers)[0] == 0
    assert {(status(id), row(id)["retry_count"]) for id in ids} == {("pending", 0)}
    assert process.delivery.routers["email"].share(1_000, 1.0) == 0


def test_another_daily_limit_in_the_url_ends_the_wait(make: Make) -> None:
    queue = make("priority=1").delivery.routers["email"].queues[0]
    providers.report("first", {"daily": 10})
    providers.record_daily("first", {"2000000": 10}, 60.0)
    providers.report("first", {"daily": 10})
    queue.breaker.refresh()
    before = queue.breaker.exhausted
    providers.report("first", {"daily": 20})
    queue.breaker.refresh()

    assert (before, queue.breaker.exhausted) == (True, False)
    assert providers.daily_counts("first") == {"2000000": 10}
