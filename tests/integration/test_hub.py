"""Many have something done in one thread: they wait for each other's answers no more than threads would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from unittest import mock

import pytest

from actors import hub
from actors.channels import Deferred
from actors.hub import Hub
from db.coalesce import Coalescer
from tests.conftest import TlsAuthority
from tests.eventually import eventually
from tests.integration.mailing import IMPATIENT, channel, notification
from tests.smtp import Hang, SmtpServer

MANY = 20


@pytest.fixture
def here() -> Iterator[Hub]:
    hub_ = hub.started(MANY)
    assert hub_
    yield hub_
    hub_.stop()
    assert not hub_.is_alive()


def at_once(here: Hub, function: Callable[[int], object]) -> list[object]:
    """By as many threads."""
    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(lambda number: here.have_done(lambda: function(number)), range(MANY)))


def test_what_is_done_returns_and_raises_as_if_the_thread_had_done_it(here: Hub) -> None:
    assert here.have_done(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        here.have_done(lambda: 1 // 0)
    assert here.have_done(hub.current) is here
    assert hub.current() is None


def test_all_is_done_in_one_thread_and_what_blocks_in_others(here: Hub) -> None:
    inside = set(at_once(here, lambda _: threading.get_ident()))
    outside = set(at_once(here, lambda _: hub.outside(threading.get_ident)))
    assert inside == {here.ident}
    assert here.ident not in outside
    assert hub.outside(threading.get_ident) == threading.get_ident()


def test_who_waits_for_a_future_keeps_nobody_else_waiting(here: Hub) -> None:
    coming: list[Future[int]] = [Future() for _ in range(MANY)]
    began = threading.Semaphore(0)

    def waits(number: int) -> int:
        began.release()
        return hub.wait(coming[number])

    with ThreadPoolExecutor(MANY) as threads:
        found = [threads.submit(here.have_done, lambda n=n: waits(n)) for n in range(MANY)]
        for _ in range(MANY):
            assert began.acquire(timeout=10)
        for number in reversed(range(MANY)):
            coming[number].set_result(number)
        assert [one.result(10) for one in found] == list(range(MANY))


@pytest.mark.usefixtures("store")
def test_all_who_are_answered_together_are_woken_together(here: Hub) -> None:
    going = threading.Event()

    def run(items: Sequence[int]) -> Sequence[int]:
        assert going.wait(10)
        if 1 in items:
            raise ZeroDivisionError
        return [item * 10 for item in items]

    coalescer = Coalescer("test", run, most=MANY, waiting=MANY)

    def asks(number: int) -> int:
        answer: hub.Promise[int] | Future[int] = hub.promise()
        assert isinstance(answer, hub.Promise)
        coalescer.put(number, answer)
        return hub.wait(answer)

    with ThreadPoolExecutor(MANY) as threads, mock.patch.object(here, "soon", wraps=here.soon) as soon:
        alone = threads.submit(here.have_done, lambda: asks(0))
        assert eventually(lambda: coalescer._thread is not None and coalescer._queue.empty())
        others = [threads.submit(here.have_done, lambda n=n: asks(n)) for n in range(2, MANY)]
        assert eventually(lambda: coalescer._queue.qsize() == len(others))
        soon.reset_mock()
        going.set()
        assert [one.result(10) for one in (alone, *others)] == [0, *(n * 10 for n in range(2, MANY))]
        assert soon.call_count == 2
        with pytest.raises(ZeroDivisionError):
            here.have_done(lambda: asks(1))
    assert not isinstance(hub.promise(), hub.Promise)
    assert coalescer.close(10)


def test_what_a_thread_keeps_it_finds_again_and_no_other_one(here: Hub) -> None:
    kept: ContextVar[int] = ContextVar("kept", default=-1)

    def once(number: int) -> tuple[int, int]:
        here.have_done(lambda: kept.set(number))
        return number, here.have_done(kept.get)

    with ThreadPoolExecutor(MANY) as threads:
        assert all(put == found for put, found in threads.map(once, range(MANY)))
    assert kept.get() == -1


def test_a_call_that_fails_does_not_end_the_others(here: Hub) -> None:
    here.soon(lambda: 1 // 0)
    assert here.have_done(lambda: 7) == 7


def test_a_poll_that_fails_ends_nothing(here: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    poll = here._poll
    failing = mock.Mock(wraps=poll)
    failing.poll.side_effect = [OSError("interrupted"), *([mock.DEFAULT] * 100)]
    monkeypatch.setattr(here, "_poll", failing)
    assert [here.have_done(lambda: 7) for _ in range(3)] == [7] * 3
    assert failing.poll.call_count > 1
    monkeypatch.setattr(here, "_poll", poll)


def test_each_keeps_its_own_connection_and_a_slow_answer_is_nobody_elses(here: Hub, smtp_server: SmtpServer) -> None:
    smtp_server.on("mail", Hang())
    email = channel(smtp_server.url, **IMPATIENT)

    def deliver(number: int) -> str:
        try:
            for place in range(3):
                one = notification(id=number * 3 + place, recipient=f"{number}.{place}@example.com")
                email.send(one)
        except Deferred:
            return "deferred"
        finally:
            email.hang_up()
        return "sent"

    outcomes = at_once(here, deliver)
    assert outcomes.count("deferred") == 1
    assert len(smtp_server.mails) == 3 * (MANY - 1)
    assert smtp_server.connections == MANY
    by_connection = {mail.connection: mail.recipients[0].split(".")[0] for mail in smtp_server.mails}
    assert len(set(by_connection.values())) == MANY - 1


def test_a_server_that_is_silent_is_given_up_in_time(here: Hub, smtp_server: SmtpServer) -> None:
    smtp_server.on("data", Hang(), times=None)
    email = channel(smtp_server.url, **IMPATIENT)

    def late(number: int) -> str:
        with pytest.raises(Deferred) as error:
            email.send(notification(id=number))
        email.hang_up()
        return error.value.receipt.text

    assert set(at_once(here, late)) == {"no answer in time"}


def test_over_tls_all_that_came_with_a_record_is_heard(here: Hub, tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context) as server:
        email = channel(f"{server.url}?starttls=required&ca={tls_authority.ca}")
        mails = [notification(id=n, recipient=f"{n}@example.com") for n in range(50)]

        def send_all() -> None:
            for one, next in zip(mails, [*mails[1:], None], strict=True):
                email.send(one, following=next)
            email.hang_up()

        here.have_done(send_all)
        assert [mail.recipients[0] for mail in server.mails] == [one.recipient for one in mails]


def test_a_large_mail_goes_out_in_pieces_while_others_are_sent(here: Hub, smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    large = "x" * 80 + "\r\n"

    def send(number: int) -> None:
        email.send(notification(id=number, recipient=f"{number}@example.com", message=large * (50_000 * (number == 0))))
        email.hang_up()

    at_once(here, send)
    eventually(lambda: len(smtp_server.mails) == MANY)
    assert max(len(mail.raw) for mail in smtp_server.mails) > 4_000_000
