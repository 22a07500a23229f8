"""The queue of one provider: which notifications its senders take, put back, release and may begin."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import pytest
from dramatiq import Retry
from dramatiq.middleware import CurrentMessage

from actors import delivery, provider_queue, sending_task
from actors.attempts import Attempts
from actors.delivery import Again
from actors.queue.broker import get_broker
from actors.queue.priorities import PRIORITIES, Priority
from actors.queue.wake_up import message
from db import lifecycle
from db.database import Unavailable, rows
from tests import loops
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import history, passed, row, status
from tests.integration.test_delivery import Make, accept, make, many
from tests.smtp import Reply, SmtpServer
from tests.smtp.limits import Limits

pytestmark = pytest.mark.long

__all__ = ["make"]  # the fixture

SLOWLY = Reply(250, "2.0.0 slowly", delay=1.0)
TOO_FAST = Reply(432, "4.3.2 too many concurrent connections")
RETRIES = 4  # of a message: MAX_ATTEMPTS is 5 by default


@contextmanager
def delivered(
    process: Process, ids: Sequence[int], priority: Priority = PRIORITIES["normal"]
) -> Iterator[Future[None]]:
    """Deliver in another thread; after the block, wait for its end."""
    with ThreadPoolExecutor(1) as thread:
        ending = thread.submit(process.deliver, ids, priority)
        yield ending
        ending.result(60)


def recipients(server: SmtpServer) -> list[str]:
    return [mail.recipients[0] for mail in server.mails]


def free(process: Process) -> int:
    """Return the number of free places."""

    async def promised() -> int:
        most = process.mails.promise(1_000_000)
        process.mails.add([], most)
        return most

    return loops.run(promised())


def states(ids: Iterable[int]) -> set[str]:
    return {status(id) for id in ids}


# order


def test_an_urgent_notification_overtakes_notifications_not_yet_begun(make: Make, smtp_server: SmtpServer) -> None:
    process = make(connections=1)
    smtp_server.on("dot", SLOWLY, to="0@example.com")
    bulk, urgent = many(12), accept("urgent@example.com")
    with delivered(process, bulk, PRIORITIES["bulk"]):
        eventually(lambda: smtp_server.connections)
        process.deliver(urgent, PRIORITIES["high"])
    assert states([*bulk, *urgent]) == {"sent"}
    assert recipients(smtp_server).index("urgent@example.com") <= process.mails.at_hand


def test_notifications_behind_a_slow_mail_are_sent_over_other_connections(
    make: Make, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_task, "SLOW", 0.2)
    monkeypatch.setattr(provider_queue, "SWEEP", 0.1)
    process = make(connections=2)
    answer = Reply(250, "2.0.0 very slowly", delay=5.0)
    smtp_server.on("dot", answer, to="0@example.com")
    ids = many(8)
    with delivered(process, ids):
        eventually(lambda: [status(id) for id in ids[1:]] == ["sent"] * 7)
        assert status(ids[0]) == "processing"
    assert [history(id) for id in ids] == [["sent"]] * 8
    assert sorted(recipients(smtp_server)) == [f"{n}@example.com" for n in range(8)]


# what may be begun


@pytest.mark.parametrize("connections", [1, 3])
def test_a_stopping_worker_releases_unbegun_notifications_and_records_begun_ones(
    make: Make, smtp_server: SmtpServer, connections: int
) -> None:
    process = make(connections=connections)
    smtp_server.on("dot", SLOWLY, times=None)
    ids = many(20)
    with delivered(process, ids):
        eventually(lambda: smtp_server.connections == connections)
        process.stopping.set()
    sent = [id for id in ids if status(id) == "sent"]
    assert states([id for id in ids if id not in sent]) == {"pending"}
    assert len(sent) == len(smtp_server.mails) <= 2 * lifecycle.AHEAD * connections
    assert sum(row(id)["attempt_count"] for id in ids) == len(sent)
    assert free(process) == lifecycle.AHEAD * connections


def test_later_notifications_of_a_list_are_sent_after_their_beginning_is_recorded(
    make: Make, smtp_server: SmtpServer
) -> None:
    process = make(connections=2)
    ids = many(10)
    with mock.patch.object(process.mails, "promise", return_value=0):
        process.deliver(ids)
    assert states(ids) == {"sent"}
    assert rows("SELECT count(*) FROM sending") == [(1,)]
    assert free(process) == lifecycle.AHEAD * 2


def test_a_worker_declared_dead_while_it_waited_to_begin_sends_nothing(make: Make, smtp_server: SmtpServer) -> None:
    process, ids = make(connections=1), many(3)
    asked, let_go, real = threading.Event(), threading.Event(), lifecycle.begin

    def begin(*of: Any) -> None:
        asked.set()
        assert let_go.wait(60)
        real(*of)

    with (
        mock.patch.object(process.mails, "promise", return_value=0),
        mock.patch.object(lifecycle, "begin", begin),
        delivered(process, ids),
    ):
        assert asked.wait(60)
        process.beaten(process.delivery.alive_at, late=True)
        let_go.set()
    assert smtp_server.mails == []
    assert states(ids) == {"pending"}
    assert free(process) == lifecycle.AHEAD


def test_notifications_are_not_sent_until_their_beginning_can_be_recorded(
    make: Make, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_queue, "SWEEP", 0.1)
    process, ids, tries = make(connections=3), many(6), list[int]()

    def begin(*_: Any) -> None:
        tries.append(len(smtp_server.mails))
        raise Unavailable("away")

    with mock.patch.object(process.mails, "promise", return_value=0), ThreadPoolExecutor(1) as thread:
        with mock.patch.object(lifecycle, "begin", begin):
            ending = thread.submit(process.deliver, ids)
            eventually(lambda: len(tries) > 3)
        ending.result(60)
    assert set(tries) == {0}
    assert [history(id) for id in ids] == [["sent"]] * 6


# limits


@contextmanager
def no_connection(process: Process) -> Iterator[None]:
    """Let other processes have all connections to the mail server."""
    with (
        mock.patch.object(process.email.limits, "limit", return_value=0),
        mock.patch.object(provider_queue, "MOMENT", 0.1),
    ):
        yield


def test_a_message_without_a_connection_is_retried_for_its_due_notifications(
    make: Make, smtp_server: SmtpServer
) -> None:
    process, [sent, due] = make(connections=1), many(2)
    process.deliver([sent])
    with no_connection(process), pytest.raises(Again) as again:
        process.deliver([sent, due])
    assert (again.value.ids, again.value.delay) == ([due], delivery.PUT_OFF)
    assert (history(sent), history(due), status(due)) == (["sent"], [], "pending")


def test_a_message_without_a_connection_is_done_when_others_sent_its_notifications(make: Make) -> None:
    process, ids = make(connections=1), many(2)
    process.deliver(ids)
    with no_connection(process):
        process.deliver(ids)
    assert states(ids) == {"sent"}


def test_a_message_without_a_connection_is_no_dead_letter_after_its_last_retry(make: Make) -> None:
    process, [due] = make(connections=1), many(1)
    current, last = CurrentMessage(), message([due]).copy(options={"retries": RETRIES})
    current.before_process_message(get_broker(), last)
    try:
        with no_connection(process):
            process.deliver([due])
    finally:
        current.after_process_message(get_broker(), last)
    assert (history(due), status(due)) == ([], "pending")


def test_a_mail_that_is_throttled_is_sent_later_at_no_cost(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", TOO_FAST, to="1@example.com", times=2)
    process, ids = make(connections=2), many(4)
    process.deliver(ids)
    assert [history(id) for id in ids] == [["sent"]] * 4
    assert free(process) > 0


def test_a_mail_throttled_for_the_whole_time_of_its_list_is_postponed_at_no_cost(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.on("rcpt", TOO_FAST, times=None)
    process, [id] = make(connections=1, list_budget=1), many(1)
    with suppress(Again):
        process.deliver([id])
    stored = row(id)
    assert (stored["status"], stored["attempt_count"], stored["last_error"]) == ("pending", 0, f"432 {TOO_FAST.text}")
    wait = (stored["next_attempt_at"] - stored["throttled_since"]).total_seconds()
    assert provider_queue.POSTPONED - 1 <= wait < 2 * provider_queue.POSTPONED
    assert not process.breaker.open


def test_a_mail_throttled_for_longer_than_the_limit_costs_an_attempt(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", TOO_FAST, times=None)
    process, [id] = make(connections=1, smtp_throttled_max=60), many(1)
    rows("UPDATE notifications SET throttled_since = now() - interval '61 s' WHERE id = %s", id)
    with pytest.raises(Again):
        process.deliver([id])
    assert (history(id), row(id)["throttled_since"]) == (["deferred"], None)


def test_all_mails_are_sent_over_the_fewer_connections_that_the_server_admits(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.limits = Limits(connections=2)
    process, ids = make(connections=8), many(40)
    process.deliver(ids)
    assert [history(id) for id in ids] == [["sent"]] * 40
    assert sorted(recipients(smtp_server)) == sorted(f"{n}@example.com" for n in range(40))


def test_all_mails_are_sent_after_the_limit_of_connections_fell_to_zero_and_rose(
    make: Make, smtp_server: SmtpServer
) -> None:
    process, ids = make(connections=3), many(12)
    smtp_server.on("dot", SLOWLY, times=6)
    with delivered(process, ids):
        eventually(lambda: smtp_server.connections)
        with mock.patch.object(process.email.limits, "limit", return_value=0):
            eventually(lambda: not process.mails._tasks)
            assert process.mails.waiting
    assert [history(id) for id in ids] == [["sent"]] * 12
    assert free(process) == lifecycle.AHEAD * 3


def test_an_idle_connection_is_closed_after_its_time(
    make: Make, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_queue, "SWEEP", 0.1)
    process = make(connections=1, smtp_connection_idle=1)
    process.deliver(many(2))
    assert process.email.limits.open == 1
    eventually(lambda: not process.email.limits.open)
    process.deliver(many(2))
    assert [mail.connection for mail in smtp_server.mails] == [1, 1, 2, 2]


# the end


def test_closing_waits_for_begun_mails_and_releases_the_others(make: Make, smtp_server: SmtpServer) -> None:
    process, ids = make(connections=3), many(12)
    smtp_server.on("dot", SLOWLY, times=None)
    with delivered(process, ids):
        eventually(lambda: smtp_server.connections == 3)
        process.stopping.set()
        process.close()
        sent = [id for id in ids if status(id) == "sent"]
        assert len(sent) == len(smtp_server.mails) >= 1
        assert states(ids) == {"sent", "pending"}
    assert not process.mails._tasks


# places


def test_places_are_free_again_after_any_failure(
    make: Make, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_queue, "SWEEP", 0.1)
    process = make(connections=2)
    faults = [
        mock.patch.object(lifecycle, "claim", side_effect=Unavailable("away")),
        mock.patch.object(lifecycle, "claim", side_effect=ZeroDivisionError),
        mock.patch.object(Attempts, "_judge", side_effect=ZeroDivisionError),
        mock.patch.object(process.delivery, "settled", side_effect=ZeroDivisionError),
        mock.patch.object(process.delivery, "recorded", side_effect=ZeroDivisionError),
    ]
    for fault in faults:
        ids = many(6)
        with fault, suppress(Again, Retry, ZeroDivisionError):
            process.deliver(ids)
        eventually(lambda: free(process) == lifecycle.AHEAD * 2)
        rows(
            "UPDATE notifications SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL,"
            " dispatch_after = NULL, claimed_by = NULL, claimed_at = NULL, claimed_list = NULL"
            " WHERE status IN ('pending', 'processing')"
        )
    smtp_server.on("rcpt", Reply(450, "4.2.0 busy"), times=3)
    smtp_server.on("rcpt", TOO_FAST, times=3)
    smtp_server.on("dot", Reply(550, "5.1.1 nobody"), times=3)
    for _ in range(3):
        ids = many(6)
        with suppress(Again):
            process.deliver(ids)
        for id in ids:
            passed(10_000, id)
    monkeypatch.undo()
    ids = many(10)
    process.deliver(ids)
    assert states(ids) == {"sent"}
