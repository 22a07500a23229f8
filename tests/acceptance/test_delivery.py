"""The basic guarantee: each accepted notification is sent once, or fails with the full reason."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
import redis

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.processes import ROOT
from tests.queries import Tally
from tests.smtp import Drop, Hang, Phase, Reply
from tests.system import QUICK

ENQUEUE = """
import sys
from actors.queue.broker import get_broker
from actors.queue.wake_up import message
for id in sys.argv[1:]:
    get_broker().enqueue(message([int(id)]))
"""


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """gunicorn with two processes and two groups of workers."""
    world = new_world()
    world.system.start_api(processes=2)
    world.system.start_workers()
    world.system.start_workers()
    return world


def enqueue_again(world: World, ids: list[int], times: int) -> None:
    """Enqueue each of these so many times, from a process that is no worker."""
    arguments = [str(id) for id in ids for _ in range(times)]
    subprocess.run([sys.executable, "-c", ENQUEUE, *arguments], cwd=ROOT, env=world.system.environ, check=True)


def test_a_thousand_notifications_are_each_delivered_exactly_once(world: World) -> None:
    accepted = world.post(1_000)
    assert world.tally(accepted) == Tally.perfect(1_000)
    assert set(world.mail_server.copies().values()) == {1}


def test_a_deferred_notification_is_retried_with_growing_delays_until_it_is_sent(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("rcpt", Reply(450, "4.2.1 mailbox busy, come back later"), to=recipient, times=3)
    id = world.post_one(recipient)
    notification = world.ended(id)
    assert (notification["status"], notification["retryCount"]) == ("sent", 3)
    tries = [refusal.at for refusal in world.mail_server.refusals_of(recipient)]
    tries += [mail.at for mail in world.mail_server.mails_to(recipient)]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    # Dramatiq's formula: RETRY_MIN_BACKOFF * 2^(k-1), times 1 to 2.
    least = [float(QUICK["RETRY_MIN_BACKOFF"]) * 2**k for k in range(3)]
    assert all(gap >= delay for gap, delay in zip(gaps, least, strict=True)), gaps


def test_the_attempts_of_a_retried_notification_are_all_listed(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("rcpt", Reply(450, "4.2.1 mailbox busy"), to=recipient)
    id = world.post_one(recipient)
    assert world.ended(id)["status"] == "sent"
    first, second = world.system.client.attempts(id)
    assert (first["number"], first["outcome"], first["phase"]) == (1, "deferred", "rcpt")
    assert (first["replyCode"], first["enhancedCode"]) == (450, "4.2.1")
    assert "mailbox busy" in first["text"]
    assert (second["number"], second["outcome"], second["replyCode"]) == (2, "sent", 250)
    assert first["startedAt"] <= first["finishedAt"] < second["startedAt"] <= second["finishedAt"]


def test_after_exactly_five_attempts_a_deferred_notification_fails_with_the_servers_words(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("dot", Reply(452, "4.2.2 the mailbox is full"), to=recipient, times=None)
    id = world.post_one(recipient)
    notification = world.ended(id, within=30)
    assert (notification["status"], notification["failureReason"]) == ("failed", "exhausted")
    assert "the mailbox is full" in notification["lastError"]
    attempts = world.system.client.attempts(id)
    assert [attempt["number"] for attempt in attempts] == [1, 2, 3, 4, 5]
    assert {(a["outcome"], a["replyCode"]) for a in attempts} == {("deferred", 452)}
    assert len(world.mail_server.refusals_of(recipient)) == 5


@pytest.mark.parametrize("phase", ["rcpt", "dot"])
def test_a_refused_notification_fails_at_its_first_attempt(world: World, phase: Phase) -> None:
    recipient = world.recipient()
    world.mail_server.on(phase, Reply(550, "5.1.1 nobody of that name"), to=recipient, times=None)
    id = world.post_one(recipient)
    notification = world.ended(id)
    assert (notification["status"], notification["failureReason"]) == ("failed", "rejected")
    assert "nobody of that name" in notification["lastError"]
    (attempt,) = world.system.client.attempts(id)
    assert (attempt["outcome"], attempt["replyCode"], attempt["enhancedCode"]) == ("refused", 550, "5.1.1")
    assert len(world.mail_server.refusals_of(recipient)) == 1


def test_a_refused_recipient_does_not_affect_other_notifications(world: World) -> None:
    unlucky = list(world.recipients(5))
    for recipient in unlucky:
        world.mail_server.on("rcpt", Reply(550, "5.1.1 no"), to=recipient)
    refused = [world.post_one(recipient) for recipient in unlucky]
    accepted = world.post(100)
    assert world.tally(accepted) == Tally.perfect(100)
    assert {world.ended(id)["status"] for id in refused} == {"failed"}


def test_when_the_answer_to_a_whole_mail_is_lost_it_is_sent_again_as_the_same_mail(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("dot", Drop(), to=recipient)
    id = world.post_one(recipient)
    assert world.ended(id)["status"] == "sent"
    assert [attempt["outcome"] for attempt in world.system.client.attempts(id)] == ["uncertain", "sent"]
    assert len(world.mail_server.mails_to(recipient)) == 1


def test_twenty_wake_up_messages_for_a_notification_deliver_it_once(world: World) -> None:
    accepted = world.post(20)
    enqueue_again(world, list(accepted), times=20)
    assert world.tally(accepted) == Tally.perfect(20)


def test_twenty_wake_up_messages_while_the_mail_is_being_sent_deliver_it_once(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("data", Hang(), to=recipient)
    id = world.post_one(recipient)
    eventually(lambda: world.mail_server.hanging == 1)
    enqueue_again(world, [id], times=20)
    eventually(lambda: world.wake_ups() <= 1, saying=world.wake_ups)
    world.mail_server.release()
    assert world.tally({id: recipient}) == Tally.perfect(1)


def test_a_redis_flushed_during_sending_loses_nothing(world: World) -> None:
    world.mail_server.delay = 0.01
    accepted = world.post(400)
    eventually(lambda: len(world.mail_server.mails) >= 20)
    with redis.Redis.from_url(world.system.environ["REDIS_URL"]) as client:
        client.flushall()
    assert len(world.mail_server.mails) < 400
    assert world.tally(accepted) == Tally.perfect(400)
