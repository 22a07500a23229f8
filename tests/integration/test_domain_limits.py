"""Limits of recipient domains: what is configured, what is learned, and that other domains do not wait."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import uuid4

import pytest
import redis

from db import lifecycle
from db.database import connection, database, rows
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import GRACE, draft, status
from tests.integration.several_providers import deliver
from tests.smtp import Reply, SmtpServer
from tests.smtp.limits import Limits

pytestmark = pytest.mark.long

Make = Callable[..., Process]

LATER = Reply(421, "4.7.28 too many messages from your IP, try again later")
OTHERS = ("a.example", "b.example", "c.example", "d.example")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        yield client


@pytest.fixture
def make(store: Settings, client: redis.Redis, smtp_server: SmtpServer) -> Iterator[Make]:
    """Make a worker process with these limits of domains."""
    made: list[Process] = []

    def make(limits: str = "", connections: int = 20) -> Process:
        url = f"{smtp_server.url}?connections={connections}"
        with configured(smtp_url=url, mail_from="noreply@example.com", domain_limits=limits) as current:
            made.append(process := Process(current, uuid4(), client))
        return process

    yield make
    for process in made:
        process.close()


def accept(count: int, *domains: str) -> list[int]:
    drafts = [draft(f"{uuid4().hex}@{domains[n % len(domains)]}") for n in range(count)]
    return [a.id for a in lifecycle.accept(drafts, GRACE)]


def keep_delivering(processes: Sequence[Process], ids: Sequence[int], within: float = 60.0) -> None:
    """Deliver what is due, by all processes at the same time, as the relay has it done, until all is sent."""
    until = time.monotonic() + within
    with ThreadPoolExecutor(len(processes)) as threads:
        while time.monotonic() < until:
            due = lifecycle.still_due(ids)
            parts = [due[n :: len(processes)] for n in range(len(processes))]
            list(threads.map(_deliver_and_close, processes, parts))
            if not rows("SELECT 1 FROM notifications WHERE id = ANY(%s) AND status <> 'sent' LIMIT 1", list(ids)):
                return
            rows("SELECT pg_sleep(0.05)")
    raise AssertionError(Counter(status(id) for id in ids))


def _deliver_and_close(process: Process, ids: Sequence[int]) -> None:
    try:
        for start in range(0, len(ids), 50):
            deliver(process, ids[start : start + 50])
    finally:
        database.close()


def taken(server: SmtpServer, domain: str) -> list[float]:
    """Return when the mails to a domain were taken."""
    return [mail.at for mail in server.mails if mail.recipients[0].endswith(f"@{domain}")]


def most_within(seconds: float, times: Sequence[float]) -> int:
    """Return the most mails within any span of so many seconds."""
    return max((sum(at <= other < at + seconds for other in times) for at in times), default=0)


def attempts(ids: Sequence[int]) -> Counter[str]:
    return Counter(outcome for (outcome,) in rows("SELECT outcome FROM attempts WHERE notification_id = ANY(%s)", ids))


def postponed(domain: str) -> int:
    waiting = "status = 'pending' AND throttled_since IS NOT NULL AND recipient LIKE %s"
    return int(rows(f"SELECT count(*) FROM notifications WHERE {waiting}", f"%@{domain}")[0][0])


# ---- configured


@pytest.mark.parametrize("count", [1, 2])
def test_a_rate_holds_for_all_processes_together_and_others_go_first(
    make: Make, smtp_server: SmtpServer, count: int
) -> None:
    processes = [make("slow.example=20/s") for _ in range(count)]
    slow, others = accept(100, "slow.example"), accept(200, *OTHERS)

    keep_delivering(processes, [*slow, *others])

    times = taken(smtp_server, "slow.example")
    assert (len(times), len(smtp_server.mails)) == (100, 300)
    assert most_within(1.0, times) <= 40
    assert times[-1] - times[0] >= 3.0
    last_of_others = max(mail.at for mail in smtp_server.mails if not mail.recipients[0].endswith("slow.example"))
    assert last_of_others < times[-1]
    assert attempts([*slow, *others]) == {"sent": 300}


def test_a_message_does_not_wait_for_its_mails_to_a_slow_domain(make: Make, smtp_server: SmtpServer) -> None:
    process = make("slow.example=1/s")
    ids = accept(100, "slow.example", *OTHERS)

    deliver(process, ids)

    assert len(smtp_server.mails) - len(taken(smtp_server, "slow.example")) == 80
    assert postponed("slow.example") >= 15
    assert attempts(ids)["sent"] == len(smtp_server.mails)


def test_a_message_ends_before_its_mails_that_wait_for_a_moment(
    make: Make, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.channels.email.domain_limits.SOON", 60.0)
    process = make("slow.example=1/s")
    ids = accept(50, "slow.example", *OTHERS)

    deliver(process, ids)

    assert process.mails.waiting > 0
    assert len(smtp_server.mails) - len(taken(smtp_server, "slow.example")) == 40


def test_mails_that_wait_are_due_no_faster_than_the_domain_takes_them(make: Make) -> None:
    process = make("slow.example=10/s")
    ids = accept(200, "slow.example")

    deliver(process, ids)

    due = [
        at for (at,) in rows("SELECT next_attempt_at FROM notifications WHERE throttled_since IS NOT NULL ORDER BY 1")
    ]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(due)]
    assert len(due) >= 170
    assert all(abs(gap - 0.1) < 0.001 for gap in gaps)
    assert rows("SELECT DISTINCT last_error FROM notifications WHERE throttled_since IS NOT NULL") == [
        ("waits because of DOMAIN_LIMITS of slow.example",)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_no_more_mails_at_a_time_than_configured_go_to_a_domain(
    make: Make, smtp_server: SmtpServer, count: int
) -> None:
    smtp_server.on("dot", Reply(250, "slowly", delay=0.2), times=None)
    processes = [make("slow.example=3", connections=10) for _ in range(count)]
    slow = accept(24, "slow.example")

    keep_delivering(processes, slow)

    assert most_within(0.19, taken(smtp_server, "slow.example")) <= 3
    assert attempts(slow) == {"sent": 24}


def test_copies_count_for_their_domains_too(make: Make, smtp_server: SmtpServer) -> None:
    process = make("slow.example=2/s")
    drafts = [
        draft(f"{n}@fast.example")._replace(
            mail=json.dumps({"cc": [f"Ann <{n}@SLOW.example>"]}),
            mailboxes=json.dumps([f"{n}@fast.example", f"{n}@slow.example"]),
        )
        for n in range(8)
    ]
    ids = [a.id for a in lifecycle.accept(drafts, GRACE)]

    keep_delivering([process], ids)

    times = [mail.at for mail in smtp_server.mails]
    assert len(times) == 8
    assert most_within(1.0, times) <= 4
    assert times[-1] - times[0] >= 2.5


# ---- learned


def test_a_domain_that_says_not_now_is_slowed_down_alone(make: Make, smtp_server: SmtpServer) -> None:
    process = make()
    deliver(process, accept(40, *OTHERS))
    slow = accept(30, "slow.example")
    for (recipient,) in rows("SELECT recipient FROM notifications WHERE id = ANY(%s)", slow[:3]):
        smtp_server.on("rcpt", LATER, to=recipient, times=1)
    begun = time.monotonic()
    others = accept(200, *OTHERS)
    deliver(process, [*slow[:20], *others[:20]])
    deliver(process, others[20:])

    assert {status(id) for id in others} == {"sent"}
    assert process.email.limits.pause(time.monotonic()) == 0.0
    assert time.monotonic() - begun < 30
    keep_delivering([process], slow)

    assert attempts([*slow, *others]) == {"sent": 230}
    assert len(smtp_server.mails) == 270


def test_a_server_that_refuses_all_domains_is_slowed_down_as_a_whole(make: Make, smtp_server: SmtpServer) -> None:
    process = make()
    deliver(process, accept(40, *OTHERS))
    smtp_server.limits = Limits(
        per_second=1, slow_down=Reply(454, "Throttling failure: Maximum sending rate exceeded.")
    )
    deliver(process, accept(20, *OTHERS))

    assert process.email.limits.pause(time.monotonic()) > 0
    smtp_server.limits = Limits()


def test_a_domain_that_recovers_is_forgotten(
    make: Make, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.channels.speed.RISE_EVERY", 0.1)
    monkeypatch.setattr("actors.channels.backoff.KEPT", 0.5)
    process = make(connections=2)
    deliver(process, accept(40, *OTHERS))
    slow = accept(2, "slow.example")
    smtp_server.on("rcpt", LATER, to=rows("SELECT recipient FROM notifications WHERE id = %s", slow[0])[0][0])
    deliver(process, slow)
    eventually(lambda: process.email.shaping.active)

    keep_delivering([process], slow)

    def recovered() -> bool:
        keep_delivering([process], accept(20, "slow.example", *OTHERS))
        return not process.email.shaping.active

    eventually(recovered, within=30)
    assert attempts(slow) == {"sent": 2}


def test_words_of_an_answer_are_kept_without_addresses(make: Make, smtp_server: SmtpServer) -> None:
    process = make()
    deliver(process, accept(40, *OTHERS))
    slow = accept(100, "slow.example")
    recipient = rows("SELECT recipient FROM notifications WHERE id = %s", slow[0])[0][0]
    smtp_server.on("rcpt", Reply(421, f"4.7.28 <{recipient}>: too many messages from you"), to=recipient)
    deliver(process, slow[:1])
    deliver(process, slow[1:])

    texts = {text for (text,) in rows("SELECT last_error FROM notifications WHERE id = ANY(%s)", slow[1:]) if text}
    assert not any(recipient in text for text in texts)


def test_all_is_handed_back_when_the_process_stops(make: Make) -> None:
    process = make("slow.example=1/s,1")
    ids = accept(60, "slow.example")
    deliver(process, ids)

    process.close()

    with connection():
        assert {status(id) for id in ids} <= {"sent", "pending"}
        assert rows("SELECT count(*) FROM notifications WHERE claimed_by IS NOT NULL") == [(0,)]
