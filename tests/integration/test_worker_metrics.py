"""Metrics of a worker for each way a notification can end, by its priority and channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from actors import outcomes
from actors.delivery import Again
from actors.queue.priorities import PRIORITIES
from db import callbacks, lifecycle
from db.callbacks import New
from db.database import rows
from db.records import Draft
from runtime.metrics import exposition
from settings import Settings
from tests import loops
from tests.environment import configured
from tests.hooks import Hooks
from tests.integration.delivering import Process
from tests.integration.rows import GRACE, attempt, claimed, draft, passed
from tests.scrapes import Scrape
from tests.smtp import Drop, Reply, SmtpServer

Grown = Callable[..., float]


@pytest.fixture
def grown() -> Grown:
    """By how much a sum of series has grown since the test began."""
    before = now()
    return lambda name, **labels: now().sum(f"notify_{name}", **labels) - before.sum(f"notify_{name}", **labels)


def now() -> Scrape:
    """With what upkeep would count in its next round."""
    outcomes.count()
    return Scrape(exposition.page(False, False).body.decode())


@pytest.fixture
def process(store: Settings, smtp_server: SmtpServer) -> Iterator[Process]:
    values = {"smtp_url": smtp_server.url, "mail_from": "noreply@example.com"}
    with configured(**values, callback_allowed_networks="127.0.0.0/8", breaker_threshold=2) as current:
        process = Process(current, uuid4())
    yield process
    process.close()


def accept(*drafts: Draft) -> list[int]:
    return [stored.id for stored in lifecycle.accept(drafts, GRACE)]


def test_sent_notifications_are_counted_by_priority_with_the_time_since_due(process: Process, grown: Grown) -> None:
    high, bulk = accept(draft()._replace(queue="high"), draft()._replace(queue="bulk"))
    passed(40, bulk)
    process.deliver([high, bulk])

    assert grown("attempts_total", outcome="sent", phase="content", channel="email") == 2
    assert grown("due_to_sent_seconds_bucket", priority="high", le="5.0") == 1
    assert 40 <= grown("due_to_sent_seconds_sum", priority="bulk") < 60
    assert grown("smtp_connections_total", result="opened") == 1


def test_a_scheduled_notification_is_not_late_before_its_time(process: Process, grown: Grown) -> None:
    [id] = accept(draft())
    rows("UPDATE notifications SET created_at = now() - interval '1 day', next_attempt_at = now() WHERE id = %s", id)
    process.deliver([id])

    assert grown("due_to_sent_seconds_count") == 1
    assert grown("due_to_sent_seconds_sum") < 60


def test_retried_and_failed_notifications_are_counted_separately(
    process: Process, grown: Grown, smtp_server: SmtpServer
) -> None:
    smtp_server.on("rcpt", Reply(450, "4.2.0 busy"), to="later@example.com")
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="never@example.com")
    with pytest.raises(Again):
        process.deliver(accept(draft("later@example.com"), draft("never@example.com")))

    assert (
        grown("retries_total", priority="normal", channel="email") == grown("attempts_total", outcome="deferred") == 1
    )
    assert grown("failed_total", reason="rejected") == grown("attempts_total", outcome="refused", phase="rcpt") == 1
    assert grown("due_to_sent_seconds_count") == 0


def test_an_answer_that_never_came_is_uncertain(process: Process, grown: Grown, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop(), times=1)
    process.deliver(accept(draft()._replace(on_uncertain="hold")))

    assert grown("uncertain_total", priority="normal", channel="email") == 1
    assert grown("failed_total", reason="outcome-unknown") == 1


def test_a_settlement_after_a_rescue_is_counted_as_a_lost_race(store: Settings, grown: Grown) -> None:
    notification = claimed()
    settlement = lifecycle.sent(notification, attempt())
    outcomes.report(notification, settlement, 0.0, owned=False)

    assert grown("lost_races_total", priority="normal") == 1
    assert grown("due_to_sent_seconds_count") == 0


def test_a_sandbox_notification_is_not_counted_as_mail(process: Process, grown: Grown) -> None:
    process.deliver(accept(draft("delivered@example.com")._replace(sandbox=True)))

    assert grown("due_to_sent_seconds_count", channel="sandbox") == 1
    assert grown("attempts_total", channel="email") == 0


def test_a_breaker_that_opens_and_closes_is_counted_once(process: Process, grown: Grown) -> None:
    for _ in range(5):
        loops.run(process.breaker.heard(down=True, probe=False, reason="connect: refused"))
    loops.run(process.breaker.heard(down=False, probe=True, reason=""))

    assert grown("breaker_transitions_total", to="open") == grown("breaker_transitions_total", to="closed") == 1


def test_an_unreachable_server_counts_as_a_failed_connection(
    process: Process, grown: Grown, smtp_server: SmtpServer
) -> None:
    smtp_server.on("connect", Drop())
    with pytest.raises(Again):
        process.deliver(accept(draft()))

    assert grown("smtp_connections_total", result="failed") == grown("attempts_total", outcome="provider-down") == 1


def test_the_lateness_of_callbacks_is_measured_to_their_delivery(process: Process, grown: Grown) -> None:
    with Hooks() as hooks:
        callbacks.create(New(1, hooks.url, "", ["sent"], "whsec_AAAA"), 1)
        process.deliver(accept(draft()))
        [(id,)] = rows("SELECT id FROM notifications WHERE type = 'callback'")
        rows("UPDATE notifications SET created_at = created_at - interval '100 s' WHERE id = %s", id)
        process.deliver([id], PRIORITIES["callback"])

    assert grown("callback_lag_seconds_count", result="sent") == 1
    assert 100 <= grown("callback_lag_seconds_sum") < 160
    assert grown("due_to_sent_seconds_count", priority="callback", channel="callback") == 1


def test_the_number_of_rows_of_each_statement_is_measured(process: Process, grown: Grown) -> None:
    process.deliver(accept(draft(), draft(), draft()))

    assert grown("batch_size_count", stage="claim") == grown("batch_size_sum", stage="claim") == 1
    assert grown("batch_size_sum", stage="settle") == 3
    assert 1 <= grown("batch_size_count", stage="settle") <= 3
    assert grown("wait_seconds_count", stage="claim") == 1
