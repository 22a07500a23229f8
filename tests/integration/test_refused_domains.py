"""A provider that refuses mails because of their From domain: only these wait, or take another provider, at no cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from uuid import uuid4

import pytest

from actors.delivery import Again
from actors.reports.reported_domains import ReportedDomains
from db import lifecycle, refused_domains, waiting
from db.database import rows
from db.lifecycle.evidence import Evidence
from db.refused_domains import Refusal, Waits
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import CLIENT, GRACE, WORKER, alive, draft, history, row, status
from tests.smtp import Hang, Reply, SmtpServer

BAD, GOOD = "bad.example", "good.example"
DMARC = Reply(550, "5.7.26 unauthenticated mail from bad.example is not accepted due to its DMARC policy")
WAITS = Waits(3, 5, 60)
THRESHOLD = 3


class World:
    """A worker process with one or more mail servers, and a threshold of THRESHOLD refusals."""

    def __init__(self, made: ExitStack, servers: int = 1) -> None:
        self.servers = [made.enter_context(SmtpServer()) for _ in range(servers)]
        named = zip("ab", self.servers, strict=False)
        urls = {f"provider_{name}": f"{server.url}?priority={n}" for n, (name, server) in enumerate(named, 1)}
        self.settings = made.enter_context(
            configured(mail_from=f"own@{GOOD}", breaker_threshold=THRESHOLD, probe_wait=5, **urls)
        )
        self.process = Process(self.settings, alive(uuid4(), steady_for=100))
        made.callback(self.process.close)
        self.number = 0

    def refuse(self) -> None:
        """Let the first server refuse the mails to bounce.example, which come from BAD."""
        for n in range(1, 100):
            self.servers[0].on("dot", DMARC, to=f"{n}@bounce.example", times=None)

    def accept(self, count: int = 1, domain: str = BAD) -> list[int]:
        drafts = []
        for _ in range(count):
            self.number += 1
            to = f"{self.number}@{'bounce' if domain == BAD else 'fine'}.example"
            drafts.append(draft(to)._replace(mail=json.dumps({"from": f"Shop <shop@{domain}>"})))
        return [one.id for one in lifecycle.accept(drafts, GRACE)]

    def deliver(self, ids: list[int]) -> None:
        with suppress(Again):
            self.process.deliver(ids)

    def refused(self, count: int = THRESHOLD) -> list[int]:
        """Deliver mails that are refused, and wait until that is counted."""
        ids, before = self.accept(count), counted()
        for id in ids:
            self.deliver([id])
        eventually(lambda: counted() == before + count and bool(opened()) == (before + count >= THRESHOLD))
        self.refresh()
        return ids

    def due(self, ids: list[int]) -> None:
        """Let the mails be due, and a test of the provider too."""
        rows("UPDATE notifications SET next_attempt_at = now() WHERE status = 'pending' AND id = ANY(%s)", ids)
        rows("UPDATE refused_domains SET probe_after = now() WHERE opened_at IS NOT NULL")
        self.refresh()

    def refresh(self) -> None:
        self.process.delivery.refused_domains.refresh()


@pytest.fixture
def made(store: Settings) -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def counted() -> int:
    return sum(number for (number,) in rows("SELECT refused FROM refused_domains"))


def opened() -> list[tuple[str, str]]:
    return [(one.provider, one.domain) for one in refused_domains.pairs() if one.opened_at]


def test_after_some_refusals_mails_from_the_domain_wait_and_others_are_sent(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    failed = world.refused()
    assert opened() == [("a", BAD)]

    held, others = world.accept(3), world.accept(3, GOOD)
    world.deliver([*held, *others])

    assert {row(id)["failure_reason"] for id in failed} == {"rejected"}
    assert {status(id) for id in others} == {"sent"}
    assert {(status(id), row(id)["attempt_count"]) for id in held} == {("pending", 0)}
    assert row(held[0])["last_error"].startswith(f"a refuses mail From {BAD}: 550 5.7.26")
    assert rows("SELECT 1 FROM suppressions") == []
    assert not world.process.breaker.open


def test_a_mail_that_is_held_back_says_why_it_waits(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    world.refused()
    held = world.accept()
    world.deliver(held)
    reasons = {reason.kind: reason for reason in waiting.reasons(held[0], CLIENT, 30, ["a"])}
    assert "throttled" not in reasons
    assert reasons["domain-refused"].name == "a"
    assert BAD in reasons["domain-refused"].detail


def test_a_mail_that_was_taken_resets_the_count(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    world.refused(THRESHOLD - 1)
    world.servers[0].clear()
    world.deliver(world.accept())
    eventually(lambda: counted() == 0)
    world.refuse()
    world.refused(THRESHOLD - 1)
    assert opened() == []
    world.refused(1)
    assert opened() == [("a", BAD)]


def test_refusals_because_of_the_recipient_or_the_content_do_not_count(made: ExitStack) -> None:
    world = World(made)
    for n in range(1, 20):
        refusal = Reply(550, "5.7.1 message content rejected") if n % 2 else Reply(550, "5.1.1 no such user")
        world.servers[0].on("dot" if n % 2 else "rcpt", refusal, to=f"{n}@bounce.example", times=None)
    world.deliver(world.accept(6))
    world.deliver(world.accept(1, GOOD))
    assert refused_domains.pairs() == []


def test_mails_from_a_refused_domain_take_another_provider_if_there_is_one(made: ExitStack) -> None:
    world = World(made, servers=2)
    world.refuse()
    world.refused()

    ids = world.accept(3)
    world.deliver(ids)

    assert {(status(id), row(id)["attempt_count"]) for id in ids} == {("sent", 1)}
    assert len(world.servers[1].mails) == 3
    assert not world.servers[0].mails


def test_a_test_that_is_refused_costs_no_attempt_and_the_next_one_comes_later(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    world.refused()
    [held] = world.accept()
    before = len(world.servers[0].refusals)

    for wait in (10, 20, 40, 60, 60):
        world.due([held])
        world.deliver([held])
        assert (status(held), history(held)) == ("pending", [])
        eventually(lambda wait=wait: rows("SELECT wait FROM refused_domains") == [(wait,)])  # type: ignore[misc]

    assert len(world.servers[0].refusals) == before + 5


def test_one_mail_tests_the_provider_and_the_others_return_when_it_is_taken(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    world.refused()
    ids = world.accept(3)
    world.deliver(ids)
    world.servers[0].clear()
    world.servers[0].on("dot", Hang(), times=1)

    world.due(ids)
    with ThreadPoolExecutor() as one:
        delivery = one.submit(world.deliver, ids)
        eventually(lambda: world.servers[0].hanging == 1)
        # The test lasts until both others have asked; later, they would be sent too.
        eventually(lambda: sorted(status(id) for id in ids) == ["pending", "pending", "processing"])
        world.servers[0].release()
        delivery.result(60)
    assert sorted(status(id) for id in ids) == ["pending", "pending", "sent"]
    eventually(lambda: opened() == [])
    rows("UPDATE refused_domains SET closed_at = now() - interval '1 hour'")
    world.due(ids)
    world.deliver(ids)

    assert {(status(id), row(id)["attempt_count"]) for id in ids} == {("sent", 1)}


def test_a_test_without_a_result_can_be_made_again(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    world.refused()
    world.servers[0].clear()
    [held] = world.accept()
    world.servers[0].on("rcpt", Reply(451, "4.2.1 later"), times=1)
    world.due([held])
    world.deliver([held])
    assert opened() == [("a", BAD)]
    eventually(lambda: refused_domains.take_probe("a", BAD, WORKER, 300, 30))


def test_a_mail_that_was_queued_before_the_provider_began_to_refuse_is_not_failed(made: ExitStack) -> None:
    world = World(made)
    world.refuse()
    ids = world.accept(THRESHOLD + 5)
    world.deliver(ids)
    ends = [row(id)["failure_reason"] for id in ids]
    # With several connections, some more may be on their way.
    assert ends.count("rejected") < len(ids)
    assert set(ends) == {"rejected", None}
    assert {row(id)["attempt_count"] for id, end in zip(ids, ends, strict=True) if end is None} == {0}


# The breaker of a pair


def refusal(text: str = "550 5.7.26 no") -> Refusal:
    return Refusal("a", BAD, text)


def test_a_pair_of_provider_and_domain_opens_once_at_the_threshold(made: ExitStack) -> None:
    assert [refused_domains.refused(refusal(), WAITS) for _ in range(4)] == [False, False, True, False]


def test_only_one_worker_tests_at_a_time_and_a_dead_one_is_replaced(made: ExitStack) -> None:
    one, other = alive(uuid4(), steady_for=100), alive(uuid4(), steady_for=100)
    for _ in range(3):
        refused_domains.refused(refusal(), WAITS)
    assert not refused_domains.take_probe("a", BAD, one, 300, 30)
    rows("UPDATE refused_domains SET probe_after = now()")
    assert refused_domains.take_probe("a", BAD, one, 300, 30)
    assert not refused_domains.take_probe("a", BAD, other, 300, 30)
    alive(one, steady_for=100, seen_ago=60)
    assert refused_domains.take_probe("a", BAD, other, 300, 30)


def test_closing_refuses_a_closed_pair_and_one_that_reopens_soon_waits_longer(made: ExitStack) -> None:
    assert not refused_domains.close("a", BAD)
    for wait in (5, 10, 20):
        for _ in range(3):
            refused_domains.refused(refusal(), WAITS)
        assert rows("SELECT wait FROM refused_domains") == [(wait,)]
        assert refused_domains.close("a", BAD)
    rows("UPDATE refused_domains SET closed_at = now() - interval '2 hours'")
    for _ in range(3):
        refused_domains.refused(refusal(), WAITS)
    assert rows("SELECT wait FROM refused_domains") == [(5,)]


def test_closed_pairs_are_deleted_after_a_day_and_open_ones_are_not(made: ExitStack) -> None:
    for domain in (BAD, GOOD):
        for _ in range(3 if domain == BAD else 1):
            refused_domains.refused(Refusal("a", domain, "no"), WAITS)
    rows("UPDATE refused_domains SET refused_at = now() - interval '2 days'")
    refused_domains.forget()
    assert [one.domain for one in refused_domains.pairs()] == [BAD]


# Bounces


def told(world: World, id: int, to: str, kind: str = "bounced", klass: str | None = "sender") -> None:
    said = Evidence(id, 1, "api", kind, False, to, klass, "5.7.26", "550 5.7.26 DMARC", None, None)
    ReportedDomains.load(world.settings).count(said)


def sent(world: World) -> int:
    [id] = world.accept()
    world.deliver([id])
    assert status(id) == "sent"
    return id


def test_bounces_because_of_the_domain_count_too_if_several_domains_send_them(made: ExitStack) -> None:
    world = World(made)
    for _ in range(THRESHOLD + 3):
        told(world, sent(world), "a@one.example")
    assert opened() == []
    told(world, sent(world), "a@two.example")
    assert opened() == [("a", BAD)]
    world.refresh()
    held = world.accept()
    world.deliver(held)
    assert (status(held[0]), row(held[0])["attempt_count"]) == ("pending", 0)


def test_a_reported_delivery_or_an_hour_resets_the_count_of_bounces(made: ExitStack) -> None:
    world = World(made)
    for _ in range(THRESHOLD - 1):
        told(world, sent(world), "a@one.example")
    told(world, sent(world), "a@two.example", "delivered", None)
    told(world, sent(world), "a@two.example")
    assert opened() == []
    rows("UPDATE refused_domains SET refused_at = now() - interval '2 hours', reported = 10")
    told(world, sent(world), "a@two.example")
    assert opened() == []


@pytest.mark.parametrize("klass", ["hard", "soft", "policy", "unknown"])
def test_bounces_of_other_classes_do_not_count(made: ExitStack, klass: str) -> None:
    world = World(made)
    told(world, sent(world), "a@one.example", klass=klass)
    assert refused_domains.pairs() == []


def test_bounces_of_the_sandbox_do_not_count(made: ExitStack) -> None:
    world = World(made)
    id = sent(world)
    rows("UPDATE notifications SET sandbox = true WHERE id = %s", id)
    told(world, id, "a@one.example")
    assert refused_domains.pairs() == []
