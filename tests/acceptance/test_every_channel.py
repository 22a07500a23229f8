"""All channels at once: a backlog that survives a killed worker and an emptied Redis, and providers that fail alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from actors.channels.webhook.posting import AT_A_TIME
from db.lifecycle import AHEAD
from tests.acceptance.every_channel import OTHERS, Everything, everything
from tests.eventually import eventually

pytestmark = pytest.mark.long

CHANNELS = ("email", *OTHERS)
EACH = 150  # notifications of each channel
IN_DOUBT = AHEAD * AT_A_TIME  # of a worker process; no channel has more connections here
HANGING, MAILS = 120, 300
# What a provider does, and to how many requests; -1 is until it is told otherwise.
FAULTS = {"cut": 5, "500": 5, "429": 5, "503": 5, "refuse": -1, "hang": -1}
SOME = 30  # notifications during each fault


@pytest.fixture(scope="module")
def running(
    module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Everything]:
    where = {"database_url": module_database_url, "redis_url": module_redis_url}
    with everything(tmp_path_factory.mktemp("system"), **where) as made:
        yield made


@pytest.fixture
def all_of_it(running: Everything) -> Everything:
    """One worker process, and providers that work and have taken nothing."""
    running.mails.clear()
    running.mails.delay = 0.0
    for one in running.sinks.values():
        one.mailbox.misbehave()
        one.mailbox.delay()
        one.mailbox.reset()
    if not any(group.running for group in running.system.workers):
        running.system.start_workers(threads=8)
    return running


def finish(at: Everything, ids: list[int], within: float = 60) -> None:
    """Wait until all of these have ended."""
    eventually(
        lambda: not at.system.sql.unfinished(ids), within, saying=lambda: at.system.sql.unfinished(ids), every=0.1
    )


def test_a_killed_worker_and_an_emptied_redis_lose_nothing_of_any_channel(all_of_it: Everything) -> None:
    at, sql = all_of_it, all_of_it.system.sql
    at.mails.delay = 0.1
    for channel, one in at.sinks.items():
        one.mailbox.delay(1_000 if channel in {"sms", "push"} else 300)
    ids = [id for channel in CHANNELS for id in at.post(channel, EACH)]
    eventually(lambda: all(at.taken(channel)[0] > 5 for channel in CHANNELS), within=30, saying=at.system.logs)
    at.system.workers[-1].kill()
    with redis.Redis.from_url(at.system.environ["REDIS_URL"]) as client:
        client.flushall()
    assert sql.unfinished(ids)
    at.system.start_workers(threads=8)
    finish(at, ids)

    assert sql.statuses(ids) == Counter(sent=len(ids))
    for channel in CHANNELS:
        recipients, messages = at.taken(channel)
        assert recipients == EACH
        assert messages - recipients <= at.unknown(channel) <= IN_DOUBT


@pytest.mark.parametrize("channel", OTHERS)
def test_a_provider_that_fails_loses_nothing_and_doubles_only_what_is_in_doubt(
    channel: str, all_of_it: Everything
) -> None:
    at, provider = all_of_it, all_of_it.sinks[channel].mailbox
    sql = at.system.sql
    of_fault: dict[str, list[int]] = {}
    for number, fault in enumerate(FAULTS):
        met = provider.met()
        provider.misbehave(fault, FAULTS[fault])
        of_fault[fault] = ids = at.post(channel, SOME, first=SOME * number)
        if fault == "refuse":
            eventually(lambda ids=ids: sql.attempts(ids) > 0, within=20, saying=at.system.logs)  # type: ignore[misc]
        else:
            eventually(lambda met=met: provider.met() > met, within=20, saying=at.system.logs)  # type: ignore[misc]
        if fault in {"refuse", "hang"}:
            provider.misbehave()
        finish(at, ids)

    ids = [id for some in of_fault.values() for id in some]
    assert sql.statuses(ids) == Counter(sent=len(ids))
    recipients, messages = at.taken(channel)
    assert recipients == len(ids)
    assert messages - recipients == FAULTS["cut"]
    charged = "SELECT count(*) FROM notifications WHERE id = ANY(%s) AND retry_count > 0"
    assert sql.rows(charged, of_fault["429"]) == [(0,)]


def test_mails_do_not_wait_for_a_provider_of_text_messages_that_hangs(all_of_it: Everything) -> None:
    at, sql = all_of_it, all_of_it.system.sql
    before = at.sinks["sms"].mailbox.met()
    at.sinks["sms"].mailbox.misbehave("hang")
    texts = at.post("sms", HANGING)
    eventually(lambda: at.sinks["sms"].mailbox.met() >= before + 10, within=30, saying=at.system.logs)
    mails = at.post("email", MAILS)
    finish(at, mails)

    # All mails are sent, each at its first attempt, while no text message has ended.
    assert sql.statuses(mails) == Counter(sent=MAILS)
    assert sql.attempts(mails) == MAILS
    assert sql.statuses(texts)["sent"] == 0
    at.sinks["sms"].mailbox.misbehave()
    finish(at, texts)
    assert sql.statuses(texts) == Counter(sent=HANGING)
    assert at.taken("sms") == (HANGING, HANGING)
