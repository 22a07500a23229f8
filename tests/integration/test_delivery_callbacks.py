"""Delivery of callbacks by workers: with their own number of attempts, and independent of the breaker of the mail
server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from actors.delivery import Again
from actors.queue.priorities import PRIORITIES
from db import breaker, callbacks, lifecycle
from db.callbacks import New
from db.database import rows
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.hooks import OK, Hooks, saying, status
from tests.integration import rows as words
from tests.integration.delivering import Process
from tests.integration.rows import GRACE, accepted, draft, passed
from tests.smtp import Reply, SmtpServer

Make = Callable[..., Process]
LANE = PRIORITIES["callback"]


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with Hooks() as hooks:
        yield hooks


@pytest.fixture
def make(store: Settings, smtp_server: SmtpServer, hooks: Hooks) -> Iterator[Make]:
    """Makes a worker process; whatever ends is told to `hooks`."""
    made: list[Process] = []
    callbacks.create(New(1, hooks.url, "", ["sent", "failed"], "whsec_AAAA"), 1)
    values = {"smtp_url": smtp_server.url, "mail_from": "noreply@example.com"}
    values["callback_allowed_networks"] = "127.0.0.0/8"

    def make(**more: object) -> Process:
        with configured(**{**values, **more}) as current:
            made.append(process := Process(current, uuid4()))
        return process

    yield make
    for process in made:
        process.close()


def callback_ids() -> list[int]:
    return [id for (id,) in rows("SELECT id FROM notifications WHERE type = 'callback' ORDER BY id")]


def test_a_callback_is_delivered_like_a_mail(make: Make, hooks: Hooks) -> None:
    ids = accepted(3)
    process = make()
    process.deliver(ids)
    process.deliver(callback_ids(), LANE)
    assert {post.json["data"]["id"] for post in hooks.posts} == set(ids)
    assert [words.status(id) for id in callback_ids()] == ["sent"] * 3
    assert len(callback_ids()) == 3


def test_callbacks_have_their_own_number_of_attempts(make: Make, hooks: Hooks, smtp_server: SmtpServer) -> None:
    hooks.answer = status(500)
    process = make(max_attempts=1, callback_max_attempts=3, callback_min_backoff=100, callback_max_backoff=1000)
    smtp_server.on("rcpt", Reply(450, "busy"), to="a@example.com")
    [mail] = [a.id for a in lifecycle.accept([draft("a@example.com")], GRACE)]
    process.deliver([mail])
    assert words.status(mail) == "failed"
    [callback] = callback_ids()
    for _ in range(2):
        with pytest.raises(Again) as again:
            process.deliver([callback], LANE)
        assert again.value.delay is not None
        assert again.value.delay >= 100_000
        passed(10_000, callback)
    process.deliver([callback], LANE)
    assert (words.status(callback), words.row(callback)["failure_reason"]) == ("failed", "exhausted")
    assert [a["outcome"] for a in callbacks.attempts(callback)] == ["deferred"] * 3


def test_callbacks_do_not_affect_the_breaker_of_the_mail_server(make: Make, hooks: Hooks) -> None:
    process = make(breaker_threshold=2)
    process.deliver(accepted(5))
    endpoint = "UPDATE callbacks SET url = 'http://127.0.0.1:9999/'"
    rows(endpoint)
    with pytest.raises(Again):
        process.deliver(callback_ids(), LANE)
    assert not process.breaker.open


def test_a_callback_is_no_probe_of_the_mail_server(make: Make, hooks: Hooks) -> None:
    process = make()
    process.deliver(accepted(1))
    breaker.trip(process.breaker.provider, "down", 0)
    process.breaker.refresh()

    process.deliver(callback_ids(), LANE)

    assert [words.status(id) for id in callback_ids()] == ["sent"]
    process.breaker.refresh()
    assert process.breaker.open
    # It has not taken the probe: that is there for a mail.
    process.deliver(accepted(1))
    eventually(lambda: not process.breaker.open)


def test_all_callbacks_of_a_list_are_sent_while_the_mail_server_is_down(make: Make, hooks: Hooks) -> None:
    process = make()
    process.deliver(accepted(5))
    breaker.trip(process.breaker.provider, "down", 60)
    process.breaker.refresh()

    process.deliver(callback_ids(), LANE)

    assert [words.status(id) for id in callback_ids()] == ["sent"] * 5
    assert len(hooks.posts) == 5


def test_while_the_mail_server_is_down_callbacks_that_wait_for_a_slow_endpoint_are_sent_too(
    make: Make, hooks: Hooks
) -> None:
    hooks.answer = saying(OK[:5], OK[5:], every=1.0)
    process = make()
    process.deliver(accepted(10))
    breaker.trip(process.breaker.provider, "down", 60)
    process.breaker.refresh()

    process.deliver(callback_ids(), LANE)

    assert [words.status(id) for id in callback_ids()] == ["sent"] * 10


def test_the_probe_of_a_mail_server_is_a_mail_and_no_callback(make: Make) -> None:
    make().deliver(accepted(1))
    [callback], [mail] = callback_ids(), accepted(1)
    rows("UPDATE notifications SET lane = 'normal' WHERE id = %s", callback)
    assert breaker.next_probe(100, "mail:25", "email", list(PRIORITIES)) == [mail]


def test_callbacks_are_sent_for_sandbox_notifications_too(make: Make, hooks: Hooks) -> None:
    drafts = [draft(f"{ending}@example.com")._replace(sandbox=True) for ending in ("delivered", "refused")]
    delivered, refused = (stored.id for stored in lifecycle.accept(drafts, GRACE))
    process = make()
    process.deliver([delivered, refused])

    process.deliver(callback_ids(), LANE)

    told = {post.json["data"]["id"]: post.json for post in hooks.posts}
    assert (told[delivered]["type"], told[refused]["type"]) == ("notification.sent", "notification.failed")
    assert told[delivered]["data"]["sandbox"] is True
    assert not any(words.row(id)["sandbox"] for id in callback_ids())
