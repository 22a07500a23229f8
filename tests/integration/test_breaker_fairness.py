"""Failures of one client's mail do not count as an outage of the mail server, and clients take turns in probes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from actors.breaker import ALL
from actors.delivery import Again
from actors.evidence import Evidence, evidence
from db import breaker, lifecycle, pauses
from db.database import rows
from db.models import PRIORITIES
from db.records import Attempt, Claimed
from tests.eventually import eventually
from tests.integration.rows import GRACE, draft, passed, row, status
from tests.integration.test_breaker import MAIL, Process, process
from tests.integration.test_breaker import passed as time_passed
from tests.integration.test_delivery import Make, make
from tests.smtp import Drop, Reply, SmtpServer

__all__ = ["make", "process"]  # fixtures

A, B, C = 1, 2, 3
CLOSING = Reply(421, "4.3.0 not this one")


@pytest.fixture(autouse=True)
def clients(store: object) -> None:
    for client in (B, C):
        rows(
            "INSERT INTO clients (id, name) OVERRIDING SYSTEM VALUE VALUES (%s, %s) ON CONFLICT DO NOTHING",
            client,
            f"client-{client}",
        )


def accept(client: int, *recipients: str, priority: str = "normal") -> list[int]:
    drafts = [draft(r)._replace(client_id=client, queue=priority) for r in recipients]
    return [a.id for a in lifecycle.accept(drafts, GRACE)]


def poisoned(server: SmtpServer, count: int, domain: str = "poison.example", action: Any = CLOSING) -> list[str]:
    """Recipients for whom the server closes the connection."""
    found = [f"{n}@{domain.format(n)}" for n in range(count)]
    for recipient in found:
        server.on("rcpt", action, to=recipient, times=None)
    return found


@pytest.mark.parametrize("action", [CLOSING, Drop()], ids=["421", "drop"])
def test_recipients_of_one_client_that_are_answered_421_do_not_stop_another_clients_mail(
    make: Make, smtp_server: SmtpServer, action: Any
) -> None:
    bad = accept(A, *poisoned(smtp_server, 30, action=action))
    good = accept(B, *(f"b{n}@example.com" for n in range(5)), priority="high")
    delivery = make()
    with pytest.raises(Again):
        delivery.deliver(bad)
    assert not delivery.breaker.open
    delivery.deliver(good)
    assert [status(id) for id in good] == ["sent"] * 5
    assert [(status(id), row(id)["attempt_count"]) for id in bad] == [("pending", 1)] * 30


def test_a_server_that_closes_on_every_recipient_of_many_domains_is_down_after_all(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.on("rcpt", CLOSING, times=None)
    ids = accept(A, *(f"a@{n}.example" for n in range(30)))
    delivery = make(connections=1)
    with pytest.raises(Again):
        delivery.deliver(ids)
    assert delivery.breaker.open
    assert sum(row(id)["attempt_count"] for id in ids) == 5


def test_a_success_resets_the_failures(make: Make, smtp_server: SmtpServer) -> None:
    bad = poisoned(smtp_server, 20, "{}.example")
    mixed = itertools.chain.from_iterable((one, f"ok{n}@example.com") for n, one in enumerate(bad))
    delivery = make(connections=1)
    with pytest.raises(Again):
        delivery.deliver(accept(A, *mixed))
    assert not delivery.breaker.open
    assert len(smtp_server.mails) == 20


def test_a_breaker_opened_by_one_clients_recipients_is_closed_by_a_probe_of_another(
    make: Make, smtp_server: SmtpServer
) -> None:
    bad = accept(A, *poisoned(smtp_server, 30, "{}.example"))
    delivery = make(probe_wait=0.1, probe_wait_max=100)
    with pytest.raises(Again):
        delivery.deliver(bad)
    assert delivery.breaker.open
    good = accept(B, *(f"b{n}@example.com" for n in range(5)), priority="high")

    def closed() -> bool:
        """By A's turn, at worst, then B's; each is heard of soon after its record."""
        rows("UPDATE providers SET probe_after = now() WHERE opened_at IS NOT NULL")
        delivery.breaker.refresh()
        with suppress(Again):
            delivery.deliver(bad[:1])
        return not delivery.breaker.open

    eventually(closed)
    delivery.deliver(good)
    assert [status(id) for id in good] == ["sent"] * 5


def probes(count: int) -> list[tuple[int, str, int]]:
    """Client, lane and retries of so many probes that all fail."""
    found = []
    for _ in range(count):
        [id] = breaker.next_probe(500, MAIL, "email", PRIORITIES)
        stored = row(id)
        found.append((stored["client_id"], stored["lane"], stored["retry_count"]))
        rows(
            "UPDATE notifications SET retry_count = retry_count + 1, attempt_count = attempt_count + 1 WHERE id = %s",
            id,
        )
    return found


def test_probes_rotate_among_clients_whatever_each_has_pending() -> None:
    breaker.trip(MAIL, "down", 0)
    accept(A, *(f"{n}@example.com" for n in range(600)), priority="high")
    accept(B, *(f"{n}@example.com" for n in range(3)), priority="bulk")
    accept(C, "c@example.com")
    assert Counter(client for client, *_ in probes(9)) == {A: 3, B: 3, C: 3}


def test_the_probe_is_the_least_failed_mail_of_the_highest_priority() -> None:
    breaker.trip(MAIL, "down", 0)
    for priority in ("bulk", "normal", "high"):
        accept(A, f"{priority}@example.com", priority=priority)
    assert probes(4) == [(A, "high", 0), (A, "normal", 0), (A, "bulk", 0), (A, "high", 1)]


def test_paused_scheduled_and_sandbox_notifications_are_not_used_as_probes() -> None:
    accept(A, "a@example.com")
    pauses.pause("client", str(A))
    lifecycle.accept([draft()._replace(client_id=B, sandbox=True)], GRACE)
    [later] = accept(B, "b@example.com")
    passed(-100, later)
    assert breaker.next_probe(500, MAIL, "email", PRIORITIES) == []
    [due] = accept(C, "c@example.com")
    assert breaker.next_probe(500, MAIL, "email", PRIORITIES) == [due]


ONE, OTHERS = (A, "a.example"), [(A, "b.example"), (B, "a.example"), (B, "c.example"), (C, "d.example")]


def fail(process: Process, about: Sequence[tuple[int, str]], *, probe: bool = False) -> None:
    for one in about:
        process.heard(down=True, probe=probe, reason="rcpt: 421", about=one)


def test_failures_about_the_same_client_and_domain_count_once(process: Process) -> None:
    fail(process, [ONE] * 100)
    assert process.admits() == ALL
    fail(process, OTHERS[:3])
    assert process.admits() == ALL
    fail(process, OTHERS)
    assert process.open
    assert breaker.state(MAIL, 30).by_mails


def test_failures_of_one_mail_alone_do_not_open_a_breaker_with_threshold_1(process: Process) -> None:
    process = Process(breaker_threshold=1)
    fail(process, [ONE] * 100)
    assert not process.open
    fail(process, OTHERS)
    assert process.open


def test_a_probe_refused_for_its_own_mail_shows_that_the_server_is_back(process: Process) -> None:
    process.down(5)
    fail(process, [ONE], probe=True)
    assert not process.open


def test_the_delay_between_probes_does_not_grow_if_particular_mails_fail(process: Process) -> None:
    fail(process, [ONE, *OTHERS])
    for _ in range(4):
        time_passed(1_000)
        process.refresh()
        fail(process, [ONE], probe=True)
        assert round(breaker.state(MAIL, 30).probe_in) == 5
    process.down(probe=True)
    assert round(breaker.state(MAIL, 30).probe_in) == 10


def attempt(outcome: str, phase: str, code: int | None = None) -> Attempt:
    return Attempt(outcome, uuid4(), MAIL, 0, 0, phase, code)


@pytest.mark.parametrize("phase", ["connect", "tls", "greeting", "ehlo", "starttls", "auth", "mail"])
def test_failure_before_the_recipient_is_known_counts_against_the_server(phase: str) -> None:
    assert evidence(mail_of(A), attempt("provider-down", phase, 421)) == Evidence(down=True)


@pytest.mark.parametrize("phase", ["rcpt", "data", "content"])
@pytest.mark.parametrize(("outcome", "code"), [("provider-down", 421), ("deferred", 421), ("deferred", None)])
def test_a_connection_lost_after_the_recipient_may_be_about_this_mail(
    phase: str, outcome: str, code: int | None
) -> None:
    told = Evidence(down=True, about=(B, "example.com"))
    assert evidence(mail_of(B), attempt(outcome, phase, code)) == told


@pytest.mark.parametrize("phase", ["rcpt", "data", "content"])
def test_a_limit_of_our_account_counts_as_a_failure_for_all_mail(phase: str) -> None:
    assert evidence(mail_of(A), attempt("provider-down", phase, 550)) == Evidence(down=True)


def test_a_refused_sender_of_a_client_counts_as_a_failure_of_that_client() -> None:
    told = evidence(mail_of(B, mail={"from": "b@example.com"}), attempt("provider-down", "mail", 421))
    assert told == Evidence(down=True, about=(B, ""))


@pytest.mark.parametrize(
    ("outcome", "phase", "code"),
    [("sent", "content", 250), ("refused", "rcpt", 550), ("deferred", "rcpt", 450), ("uncertain", "content", None)],
)
def test_a_refusal_of_a_mail_counts_as_a_working_server(outcome: str, phase: str, code: int | None) -> None:
    assert evidence(mail_of(A), attempt(outcome, phase, code)) == Evidence(down=False)


def mail_of(client: int, mail: dict[str, Any] | None = None) -> Claimed:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return Claimed(1, 1, "email", "A@Example.com", "", "", None, "resend", 0, at, mail=mail, client_id=client)
