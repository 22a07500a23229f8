"""One list through claim, send and settle: which notifications are sent, recorded, retried and released."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from unittest import mock
from uuid import uuid4

import pytest
from dramatiq import Retry

from actors import outcomes
from actors.channels import capacity
from actors.channels.email import mail
from actors.channels.email.mail import Mail
from actors.channels.email.mailboxes import Mailbox
from actors.channels.email.unsubscribing import notification_of
from actors.counters import counters
from actors.delivery import Again
from db import lifecycle, suppressions
from db.database import Unavailable, connection, rows
from db.records import Claimed
from settings import Settings, read
from tests import loops
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import CLIENT, GRACE, draft, history, passed, row, status
from tests.smtp import Drop, Reply, SmtpServer

Make = Callable[..., Process]


@pytest.fixture
def make(store: Settings, smtp_server: SmtpServer) -> Iterator[Make]:
    """Makes a worker process with these settings."""
    made: list[Process] = []

    def make(connections: int = 20, **values: object) -> Process:
        url = f"{smtp_server.url}?connections={connections}"
        with configured(smtp_url=url, mail_from="noreply@example.com", **values) as current:
            made.append(process := Process(current, uuid4()))
        return process

    yield make
    for process in made:
        process.close()


def accept(*recipients: str) -> list[int]:
    return [a.id for a in lifecycle.accept([draft(r) for r in recipients], GRACE)]


def many(count: int) -> list[int]:
    return accept(*(f"{n}@example.com" for n in range(count)))


def test_a_list_is_sent_in_order_over_one_connection_and_recorded(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(10)
    make(connections=1).deliver(ids)
    assert [m.recipients[0] for m in smtp_server.mails] == [f"{n}@example.com" for n in range(10)]
    assert [status(id) for id in ids] == ["sent"] * 10
    assert smtp_server.connections == 1


def test_a_list_is_sent_over_several_connections_at_once(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Reply(250, "slowly", delay=1.0), times=None)
    ids = many(10)
    make(connections=5).deliver(ids)
    assert sorted(m.recipients[0] for m in smtp_server.mails) == [f"{n}@example.com" for n in range(10)]
    assert [status(id) for id in ids] == ["sent"] * 10
    assert smtp_server.connections == 5


def test_each_outcome_is_counted(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="1@example.com")
    outcomes.count()
    before, process = Counter(counters.all()), make()
    process.deliver(many(3))
    outcomes.count()
    of_provider = {f"{process.mails.name} refused": 1, f"{process.mails.name} sent": 2}
    assert Counter(counters.all()) - before == {"failed": 1, "sent": 2, **of_provider}


def test_a_notification_that_cannot_be_claimed_is_left_out(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(3)
    lifecycle.cancel(ids[0], CLIENT)
    lifecycle.claim([ids[1]], uuid4())
    make().deliver([*ids, 999_999])
    assert [m.recipients[0] for m in smtp_server.mails] == ["2@example.com"]


def test_only_deferred_notifications_are_retried_after_the_delay_in_their_row(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.on("rcpt", Reply(450, "4.2.0 busy"), to="1@example.com")
    smtp_server.on("rcpt", Reply(450, "4.2.0 busy"), to="3@example.com")
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="4@example.com")
    ids = many(5)
    with pytest.raises(Again) as again:
        make(retry_min_backoff=10).deliver(ids)
    assert sorted(again.value.ids) == [ids[1], ids[3]]
    assert again.value.delay is not None
    assert 10_000 <= again.value.delay <= 20_000
    assert [status(id) for id in ids] == ["sent", "pending", "sent", "pending", "failed"]
    for id in again.value.ids:
        [(wait,)] = rows(
            "SELECT extract(epoch FROM next_attempt_at - (SELECT finished_at FROM attempts WHERE notification_id = id))"
            " FROM notifications WHERE id = %s",
            id,
        )
        # The delay begins when the outcome is recorded, which is after the attempt has ended.
        assert again.value.delay / 1000 <= float(wait) < again.value.delay / 1000 + 10


def test_the_last_failed_attempt_ends_as_exhausted_with_the_servers_reply(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("data", Reply(451, "4.3.0 later"), times=None)
    [id] = accept("a@example.com")
    process = make(max_attempts=3)
    for _ in range(2):
        with pytest.raises(Again):
            process.deliver([id])
        passed(10_000, id)
    process.deliver([id])
    stored = row(id)
    assert (stored["status"], stored["failure_reason"], stored["last_error"]) == (
        "failed",
        "exhausted",
        "451 4.3.0 later",
    )
    assert (stored["attempt_count"], stored["retry_count"]) == (3, 2)
    assert history(id) == ["deferred"] * 3


def test_a_mail_that_cannot_be_composed_does_not_affect_others(make: Make, smtp_server: SmtpServer) -> None:
    bad, *good = many(3)

    def compose(notification: Claimed, sender: Mailbox, contents: Sequence[bytes], leave: str | None) -> Mail:
        if notification.id == bad:
            raise ZeroDivisionError
        return mail.compose(notification, sender, contents, leave)

    with mock.patch("actors.channels.email.smtp_provider.compose", compose), pytest.raises(Again) as again:
        make().deliver([bad, *good])
    assert again.value.ids == [bad]
    assert [status(id) for id in good] == ["sent", "sent"]
    assert row(bad)["last_error"] == "internal error: ZeroDivisionError"


def test_a_lost_answer_after_the_whole_mail_is_uncertain_and_the_mail_is_sent_again(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.on("dot", Drop(), times=1)
    [id] = accept("a@example.com")
    process = make()
    with pytest.raises(Again):
        process.deliver([id])
    assert history(id) == ["uncertain"]
    passed(10_000, id)
    process.deliver([id])
    assert history(id) == ["uncertain", "sent"]


def hold(recipient: str) -> int:
    return lifecycle.accept([draft(recipient)._replace(on_uncertain="hold")], GRACE)[0].id


def test_with_hold_a_mail_is_not_sent_again_after_a_lost_answer(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop(), times=1)
    id = hold("a@example.com")
    make().deliver([id])
    assert (status(id), row(id)["failure_reason"], history(id)) == ("failed", "outcome-unknown", ["uncertain"])


def test_with_hold_a_mail_is_sent_again_when_it_certainly_was_not_taken(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("data", Drop(), times=1)
    id = hold("a@example.com")
    with pytest.raises(Again):
        make().deliver([id])
    assert (status(id), row(id)["in_doubt_since"]) == ("pending", None)


def test_with_hold_a_worker_that_lost_the_claim_sends_nothing(make: Make, smtp_server: SmtpServer) -> None:
    id = hold("a@example.com")
    real = lifecycle.doubt

    def doubt(claims: object) -> object:
        rows("UPDATE notifications SET claim = claim + 1 WHERE id = %s", id)
        return real(claims)  # type: ignore[arg-type]

    with mock.patch.object(lifecycle, "doubt", doubt):
        make().deliver([id])
    assert smtp_server.mails == []
    assert status(id) == "processing"


def test_an_outage_costs_few_attempts_and_the_other_mails_are_parked(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(50)
    smtp_server.stop()
    process = make(connections=5)
    with pytest.raises(Again) as again:
        process.deliver(ids)
    # What opens the breaker, and what the other connections had begun by then.
    spent = len(again.value.ids)
    assert 5 <= spent <= 5 + 5
    assert sorted(row(id)["attempt_count"] for id in ids) == [0] * (50 - spent) + [1] * spent
    assert {status(id) for id in ids} == {"pending"}
    process.deliver(ids)
    assert sum(row(id)["attempt_count"] for id in ids) == spent


def test_one_probe_closes_the_breaker_and_the_other_mails_are_sent(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(20)
    smtp_server.stop()
    process = make(connections=5, probe_wait=0.1)
    with pytest.raises(Again) as again:
        process.deliver(ids)
    rest = sorted(set(ids) - set(again.value.ids))
    smtp_server.start()
    eventually(process.breaker._probe_is_due)
    process.deliver(rest)
    assert len(smtp_server.mails) == 1
    eventually(lambda: not process.breaker.open)
    process.deliver(rest)
    assert len(smtp_server.mails) == len(rest) >= 10


def for_tests(*recipients: str, on_uncertain: str = "resend") -> list[int]:
    """Accept notifications as from test keys; return their ids."""
    drafts = [draft(r)._replace(sandbox=True, on_uncertain=on_uncertain) for r in recipients]
    return [a.id for a in lifecycle.accept(drafts, GRACE)]


def test_sandbox_notifications_never_reach_the_mail_server(make: Make, smtp_server: SmtpServer) -> None:
    ids = for_tests("a@example.com", "refused@example.com", "deferred@example.com")
    with pytest.raises(Again) as again:
        make().deliver(ids)
    assert again.value.ids == [ids[2]]
    assert [status(id) for id in ids] == ["sent", "failed", "pending"]
    assert row(ids[1])["failure_reason"] == "rejected"
    passed(10_000, ids[2])
    make().deliver([ids[2]])
    assert history(ids[2]) == ["deferred", "sent"]
    assert smtp_server.mails == []


def test_in_the_sandbox_an_unknown_outcome_is_held_or_sent_again(make: Make) -> None:
    [held] = for_tests("unknown@example.com", on_uncertain="hold")
    [again] = for_tests("unknown@example.com")
    process = make()
    process.deliver([held])
    assert (row(held)["failure_reason"], history(held)) == ("outcome-unknown", ["uncertain"])
    with pytest.raises(Again):
        process.deliver([again])
    passed(10_000, again)
    process.deliver([again])
    assert history(again) == ["uncertain", "sent"]


def test_an_outage_of_the_mail_server_does_not_park_the_sandbox(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.stop()
    process = make()
    with pytest.raises(Again):
        process.deliver(mails := many(10))
    assert process.breaker.open
    spent = [row(id)["attempt_count"] for id in mails]
    toys = for_tests("a@example.com", "b@example.com")
    process.deliver([*mails, *toys])
    assert [status(id) for id in toys] == ["sent", "sent"]
    assert [row(id)["attempt_count"] for id in mails] == spent


def test_an_outage_noticed_in_a_list_does_not_park_its_sandbox_notifications(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.stop()
    ids, toys = many(10), for_tests("a@example.com")
    with pytest.raises(Again):
        make().deliver([*ids, *toys])
    assert [status(id) for id in toys] == ["sent"]


def test_sandbox_notifications_are_no_probes_and_do_not_affect_the_breaker(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.stop()
    process = make(probe_wait=0.1)
    with pytest.raises(Again):
        process.deliver(many(5))
    eventually(process.breaker._probe_is_due)
    process.deliver(for_tests("a@example.com"))
    assert process.breaker.open
    eventually(process.breaker._probe_is_due)
    assert loops.run(process.breaker.admits()) == 1


def test_failures_in_the_sandbox_open_no_breaker(make: Make, smtp_server: SmtpServer) -> None:
    process = make(breaker_threshold=1)
    with pytest.raises(Again):
        process.deliver(for_tests(*(f"timeout+{n}@example.com" for n in range(10))))
    assert not process.breaker.open


def test_a_single_notification_to_a_dead_server_fails_after_its_attempts(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.stop()
    [id] = many(1)
    process = make()

    def tried(times: int) -> bool:
        """It is not tried before the server may be connected to again."""
        passed(10_000, id)
        with suppress(Again):
            process.deliver([id])
        return len(history(id)) == times

    with mock.patch.multiple(capacity, RECONNECT=0.1, RECONNECT_AT_MOST=0.1):
        for times in range(1, 6):
            eventually(partial(tried, times))
    assert (row(id)["failure_reason"], history(id)) == ("exhausted", ["provider-down"] * 5)


def test_a_stopping_worker_finishes_its_mail_and_releases_the_others_at_no_cost(
    make: Make, smtp_server: SmtpServer
) -> None:
    ids = many(5)
    process = make()
    process.stopping.set()
    process.deliver(ids)
    assert smtp_server.mails == []
    assert [(status(id), row(id)["attempt_count"]) for id in ids] == [("pending", 0)] * 5


def test_the_unsent_rest_of_a_list_that_takes_too_long_is_released(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(5)
    process = make(connections=1, list_budget=3)
    smtp_server.on("mail", Reply(250, "slowly", delay=2), times=None)
    process.deliver(ids)
    assert 1 <= len(smtp_server.mails) < 5
    assert {status(id) for id in ids} == {"sent", "pending"}


def test_a_worker_whose_heartbeat_fails_stops_sending_before_others_take_over(
    make: Make, smtp_server: SmtpServer
) -> None:
    ids = many(2)
    process = make(worker_timeout=10)
    process.beaten(time.monotonic() - 6, late=False)
    process.deliver(ids)
    assert smtp_server.mails == []
    assert [status(id) for id in ids] == ["pending", "pending"]


def test_notifications_claimed_before_a_late_heartbeat_are_released(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(6)
    process = make(connections=1)
    smtp_server.on("rcpt", Reply(250, "slowly", delay=1), to="0@example.com")
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(process.deliver, ids)
        eventually(lambda: smtp_server.connections)  # The first mail is begun.
        process.beaten(time.monotonic(), late=True)
        sending.result(60)
    assert [m.recipients[0] for m in smtp_server.mails] == ["0@example.com"]
    assert [status(id) for id in ids] == ["sent"] + ["pending"] * 5
    process.deliver(ids)
    assert [status(id) for id in ids] == ["sent"] * 6


def test_a_worker_that_loses_its_claims_sends_only_what_is_already_pipelined(
    make: Make, smtp_server: SmtpServer
) -> None:
    ids = many(6)
    process = make(connections=1)
    smtp_server.on("rcpt", Reply(250, "slowly", delay=1), to="0@example.com")
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(process.deliver, ids)
        eventually(lambda: smtp_server.connections)  # The first mail is begun.
        # Another worker rescues all and claims it again.
        rows("UPDATE notifications SET claim = claim + 1 WHERE id = ANY(%s)", ids)
        sending.result(60)
    assert len(smtp_server.mails) == lifecycle.AHEAD
    assert [status(id) for id in ids] == ["processing"] * 6


@pytest.mark.parametrize("connections", [1, 3])
def test_a_connection_has_at_most_two_mails_ahead_of_the_recorded_outcomes(
    make: Make, smtp_server: SmtpServer, connections: int
) -> None:
    most = lifecycle.AHEAD * connections
    ids = many(3 * most)
    process = make(connections=connections)
    blocking = threading.Event()
    real = lifecycle.settle

    def settle(*arguments: object) -> object:
        assert blocking.wait(60)
        return real(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(lifecycle, "settle", settle):
        thread = threading.Thread(target=process.deliver, args=(ids,))
        thread.start()
        eventually(lambda: len(smtp_server.mails) > connections)
        thread.join(0.5)
        assert connections < len(smtp_server.mails) <= most
        blocking.set()
        thread.join(60)
    assert len(smtp_server.mails) == 3 * most


def test_an_outcome_is_recorded_after_an_outage_of_the_database(make: Make, smtp_server: SmtpServer) -> None:
    [id] = accept("a@example.com")
    real = lifecycle.settle
    outage = [Unavailable("away")] * 3

    def settle(*arguments: object) -> object:
        if outage:
            raise outage.pop()
        return real(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(lifecycle, "settle", settle):
        make().deliver([id])
    assert status(id) == "sent"
    assert len(smtp_server.mails) == 1


def test_a_claim_whose_answer_was_lost_is_released_with_the_next_one(make: Make, smtp_server: SmtpServer) -> None:
    lost, later = many(2)
    process = make()
    real = lifecycle.claim

    def claim(*arguments: object) -> object:
        real(*arguments)  # type: ignore[arg-type]
        raise Unavailable("the answer never came")

    with mock.patch.object(lifecycle, "claim", claim), pytest.raises(Retry):
        process.deliver([lost])
    assert status(lost) == "processing"
    process.deliver([later])
    assert (status(lost), row(lost)["attempt_count"]) == ("pending", 0)
    process.deliver([lost])
    assert [status(id) for id in (lost, later)] == ["sent", "sent"]


def test_wake_up_message_is_retried_without_addresses_in_the_error_when_the_database_is_away(
    make: Make, smtp_server: SmtpServer
) -> None:
    [id] = accept("a@example.com")
    with (
        mock.patch.object(lifecycle, "claim", side_effect=Unavailable("connection refused")),
        pytest.raises(Retry) as retry,
    ):
        make().deliver([id])
    assert "example.com" not in str(retry.value)


def test_repeated_wake_up_messages_on_eight_threads_deliver_once(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(10)
    process = make()
    barrier = threading.Barrier(8)

    def deliver_thrice() -> None:
        barrier.wait(60)
        for _ in range(3):
            process.deliver(ids)

    threads = [threading.Thread(target=deliver_thrice) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(smtp_server.copies().values()) == [1] * 10


def test_a_rescued_row_that_comes_back_late_is_not_recorded_twice(make: Make, smtp_server: SmtpServer) -> None:
    """The worker hung, was taken for dead, and settles after all: the row belongs to another one now."""
    [id] = accept("a@example.com")
    real = lifecycle.settle

    def settle(*arguments: object) -> object:
        with connection():
            rows("UPDATE notifications SET claim = claim + 1 WHERE id = %s", id)
        return real(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(lifecycle, "settle", settle):
        make().deliver([id])
    assert (status(id), history(id)) == ("processing", [])


@pytest.mark.parametrize(
    ("reply", "suppressed"),
    [
        (Reply(550, "5.1.1 nobody"), True),
        (Reply(550, "5.2.1 closed"), True),
        (Reply(550, "5.7.1 we do not like you"), False),
        (Reply(550, "nobody"), False),
    ],
)
def test_an_unknown_mailbox_is_added_to_the_suppression_list(
    make: Make, smtp_server: SmtpServer, reply: Reply, suppressed: bool
) -> None:
    first, second = (a.id for a in lifecycle.accept([draft("gone@example.com")] * 2, GRACE))
    smtp_server.on("rcpt", reply, to="gone@example.com", times=None)
    make().deliver([first])

    assert row(first)["failure_reason"] == "rejected"
    assert [entry["address"] for entry in suppressions.newest(1, {}, None, 9)] == ["gone@example.com"] * suppressed
    make().deliver([second])
    assert row(second)["failure_reason"] == ("suppressed" if suppressed else "rejected")
    assert len(history(second)) == (not suppressed)


@pytest.mark.parametrize(("gone", "suppressed"), [("gone@example.com", True), ("b@example.com", False)])
def test_only_the_refused_one_of_several_recipients_is_suppressed(
    make: Make, smtp_server: SmtpServer, gone: str, suppressed: bool
) -> None:
    copied = draft("gone@example.com")._replace(mail='{"cc": ["b@example.com"]}')
    [one] = lifecycle.accept([copied], GRACE)
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to=gone)
    make().deliver([one.id])

    assert (row(one.id)["failure_reason"], row(one.id)["last_error"]) == ("rejected", f"{gone}: 550 5.1.1 nobody")
    assert [entry["address"] for entry in suppressions.newest(CLIENT, {}, None, 9)] == ["gone@example.com"] * suppressed


def test_address_that_the_sandbox_refuses_is_not_suppressed(make: Make) -> None:
    [one] = lifecycle.accept([draft("refused@example.com")._replace(sandbox=True)], GRACE)
    make().deliver([one.id])

    assert row(one.id)["failure_reason"] == "rejected"
    assert suppressions.newest(CLIENT, {}, None, 9) == []


def test_our_unsubscribe_link_identifies_the_notification(make: Make, smtp_server: SmtpServer) -> None:
    asking = draft()._replace(mail='{"unsubscribe": true}')
    [one] = lifecycle.accept([asking], GRACE)
    make(public_url="https://notify.example.com", unsubscribe_secret="s" * 32).deliver([one.id])

    [sent] = smtp_server.mails
    place = sent.parsed["List-Unsubscribe"].strip("<>").removeprefix("https://notify.example.com/u/")
    named = notification_of(place, read({"UNSUBSCRIBE_SECRET": "s" * 32}).public)
    assert (named, sent.parsed["List-Unsubscribe-Post"]) == (one.id, "List-Unsubscribe=One-Click")


def test_a_mail_with_an_unsubscribe_link_waits_while_no_link_can_be_made(make: Make, smtp_server: SmtpServer) -> None:
    [one] = lifecycle.accept([draft()._replace(mail='{"unsubscribe": true}')], GRACE)
    with pytest.raises(Again):
        make().deliver([one.id])

    assert smtp_server.mails == []
    assert row(one.id)["last_error"] == "it needs a link to unsubscribe, but PUBLIC_URL is not set"
