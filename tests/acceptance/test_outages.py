"""A mail server that is unreachable, flapping, silent or untrusted: no notification fails because of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.servers.valkey import Valkey
from tests.acceptance.world import World
from tests.conftest import TlsAuthority
from tests.eventually import eventually, outlast
from tests.queries import Tally
from tests.smtp import Drop, Hang, Reply, SmtpServer
from tests.system import System
from tests.wake_ups import WakeUps

pytestmark = pytest.mark.long

GREETING_TIMEOUT, PROBE_WAIT_MAX = 1.0, 1.0
# All five attempts of one notification take less than two seconds, an outage here longer.
IMPATIENT = {
    "retry_min_backoff": 0.1,
    "retry_max_backoff": 0.4,
    "probe_wait": 0.5,
    "probe_wait_max": PROBE_WAIT_MAX,
    "relay_grace": 5,
    "smtp_timeout": 2,
    "message_limit": 10_000_000,
    "body_limit": 20_000_000,
    "smtp_connect_timeout": GREETING_TIMEOUT,
}
OUTAGE = 3.0
PROCESSES, SPREAD = 2, 16  # of the API; each may enqueue once more before it hears that the queue is full
GROUPS, THREADS, THRESHOLD = 2, 4, 5
NEVER_OPENED = """UPDATE providers
SET opened_at = NULL, probe_after = NULL, wait = NULL, closed_at = NULL, reason = NULL RETURNING 1"""


@pytest.fixture(scope="module")
def system(
    module_database_url: str, redis_server: Valkey, mail_server: SmtpServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """gunicorn, and what workers need."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    logs: Path = tmp_path_factory.mktemp("outages")
    system = System(
        logs, database_url=module_database_url, redis_url=redis_server.url, smtp_url=mail_server.url, **IMPATIENT
    )
    try:
        system.start_api()
        yield system
    finally:
        system.stop()


@pytest.fixture
def world(system: System, mail_server: SmtpServer) -> World:
    """System with two groups of workers, whose breaker has forgotten the last test.

    They have no connection to the mail server, or its greeting would be seen by nobody.
    """
    system.only_workers(GROUPS)
    mail_server.stop()
    mail_server.start()
    system.sql.rows(NEVER_OPENED)
    return World(system, mail_server)


def recovered(world: World, accepted: dict[int, str]) -> Tally:
    """Wait for the end, check that nothing was lost, doubled or failed, and return the count."""
    tally = world.tally(accepted, within=40)
    count = len(accepted)
    assert (tally.delivered, tally.twice, tally.recorded, tally.stuck) == (count, 0, count, 0)
    return tally


def probes_at_most(seconds: float) -> float:
    """Return the number of attempts that an outage may cost: those that find it, and one probe at a time."""
    found = GROUPS * (THRESHOLD + THREADS)
    return found + seconds / PROBE_WAIT_MAX + 4


def test_a_long_outage_fails_nothing_and_the_returning_server_is_not_flooded(
    world: World,
) -> None:
    world.mail_server.stop()
    accepted = world.post(200)
    assert reason(world)
    outlast(OUTAGE)
    spent = world.system.sql.attempts(list(accepted))
    assert spent <= probes_at_most(OUTAGE + 5)
    world.mail_server.start()
    assert recovered(world, accepted).attempts <= 200 + probes_at_most(OUTAGE + 10)
    # RAMP_FIRST doubles every second, so 15 in the first one: a ramp, where all 200 were due at once.
    arrivals = sorted(mail.at for mail in world.mail_server.mails)
    by_second = Counter(int(at - arrivals[0]) for at in arrivals)
    assert by_second[0] <= 100, by_second
    assert arrivals[-1] - arrivals[0] > 1, by_second


def test_a_server_that_hangs_at_the_greeting_is_tried_by_one_probe_at_a_time(world: World) -> None:
    world.mail_server.on("connect", Hang(), times=None)
    accepted = world.post(40)
    assert reason(world)
    eventually(lambda: world.mail_server.hanging == 0, within=10 * GREETING_TIMEOUT)
    before = world.mail_server.connections
    together = []

    def two_more_came() -> bool:
        """Return True if it was tried twice more; note how many wait for it at the same time."""
        together.append(world.mail_server.hanging)
        return world.mail_server.connections >= before + 2

    eventually(two_more_came)
    assert max(together) == 1
    world.mail_server.script.clear()
    world.mail_server.release()
    recovered(world, accepted)


def test_a_server_that_answers_421_to_every_connection_is_probed_from_time_to_time(world: World) -> None:
    world.mail_server.on("connect", Reply(421, "4.3.2 not now"), times=None)
    accepted = world.post(40)
    assert reason(world)
    outlast(OUTAGE)
    assert len(world.mail_server.refusals) <= probes_at_most(OUTAGE + 5)
    world.mail_server.script.clear()
    recovered(world, accepted)


def test_a_flapping_server_gets_every_mail_once(world: World) -> None:
    world.mail_server.delay = 0.005
    accepted = world.post(200)
    for _ in range(2):
        world.mail_server.stop()
        outlast(1.0)
        world.mail_server.start()
        arrived = len(world.mail_server.mails)
        eventually(lambda before=arrived: len(world.mail_server.mails) > before, within=15)  # type: ignore[misc]
    # Whoever was cut off between the dot and the answer may have been sent twice; nobody else.
    in_doubt = "SELECT count(*) FROM attempts WHERE outcome = 'uncertain' AND notification_id = ANY(%s)"
    tally = world.tally(accepted, within=40)
    assert (tally.delivered, tally.recorded, tally.stuck) == (200, 200, 0)
    assert tally.twice <= world.system.sql.rows(in_doubt, list(accepted))[0][0]


def test_an_untrusted_certificate_or_a_refused_password_fails_no_notification(
    world: World, tls_authority: TlsAuthority
) -> None:
    with SmtpServer(tls=tls_authority.context, users={"shop": "old"}) as server:
        world = World(world.system, server)
        url = server.url.replace("://", "://shop:new@") + "?starttls=required"
        only(world, smtp_url=url)
        accepted = world.post(40)
        assert "certificate" in reason(world)
        only(world, smtp_url=f"{url}&ca={tls_authority.ca}")
        eventually(lambda: attempts_in(world, "auth"))
        assert world.system.sql.statuses(list(accepted)) == {"pending": 40}
        assert server.mails == []
        server.users["shop"] = "new"
        recovered(world, accepted)
        world.system.only_workers(0)


def only(world: World, **settings: Any) -> None:
    """Have one group of workers, with these settings, and no other."""
    world.system.only_workers(0)
    world.system.start_workers(**settings)


def reason(world: World) -> str:
    """Wait until the breaker opens and return why."""
    sql = "SELECT reason FROM providers WHERE opened_at IS NOT NULL"
    return str(eventually(lambda: world.system.sql.rows(sql))[0][0])


def attempts_in(world: World, phase: str) -> int:
    """Return the number of attempts that have ended in this phase because the provider was down."""
    sql = "SELECT count(*) FROM attempts WHERE outcome = 'provider-down' AND phase = %s"
    return int(world.system.sql.rows(sql, phase)[0][0])


def test_a_single_notification_to_a_server_that_never_returns_fails_after_five_attempts(world: World) -> None:
    world.mail_server.stop()
    try:
        # The second one finds the breaker open, or closed, as the first one left it.
        for _ in range(2):
            id = world.post_one(world.recipient())
            notification = world.ended(id, within=30)
            assert (notification["status"], notification["failureReason"]) == ("failed", "exhausted")
            attempts = world.system.client.attempts(id)
            assert [attempt["number"] for attempt in attempts] == [1, 2, 3, 4, 5]
            assert {(a["outcome"], a["phase"]) for a in attempts} == {("provider-down", "connect")}
    finally:
        world.mail_server.start()


def test_a_recipient_that_takes_half_a_minute_does_not_delay_the_others(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("rcpt", Reply(250, delay=30), to=recipient)
    slow = world.post_one(recipient)
    eventually(lambda: world.system.sql.statuses([slow])["processing"])
    assert world.tally(world.post(100)) == Tally.perfect(100)
    assert world.ended(slow)["status"] == "sent"
    first, _ = world.system.client.attempts(slow)
    assert (first["outcome"], first["phase"], first["text"]) == ("deferred", "rcpt", "no answer in time")


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        ("connect", "provider-down"),
        ("ehlo", "provider-down"),
        ("mail", "deferred"),
        ("rcpt", "deferred"),
        ("data", "deferred"),
        ("dot", "uncertain"),
    ],
)
def test_only_silence_after_the_whole_mail_is_uncertain(world: World, phase: str, outcome: str) -> None:
    only(world)  # Where other connections have just worked, a new one that is refused costs no attempt.
    world.mail_server.on(phase, Drop())  # type: ignore[arg-type]
    id = world.post_one(world.recipient())
    assert world.ended(id)["status"] == "sent"
    assert [attempt["outcome"] for attempt in world.system.client.attempts(id)] == [outcome, "sent"]


def test_a_connection_lost_within_the_content_is_not_uncertain(world: World) -> None:
    world.mail_server.on("body", Drop())
    # More than the buffers of the sockets hold, or all of it goes out before the end of the connection is seen.
    id = world.post_one(world.recipient(), message="a line of a long mail\n" * 400_000)
    assert world.ended(id)["status"] == "sent"
    first = world.system.client.attempts(id)[0]
    assert (first["outcome"], first["phase"]) == ("deferred", "content")


def test_a_backlog_is_enqueued_once_and_redis_holds_no_more_than_the_watermark(world: World, redis_url: str) -> None:
    world.system.only_workers(0)
    world.mail_server.delay = 0.01
    with WakeUps(redis_url) as wake_ups:
        accepted = world.post(800)
        world.system.start_workers()
        assert world.tally(accepted, within=60) == Tally.perfect(800)
    assert wake_ups.enqueued <= 1.1 * 800
    assert wake_ups.longest <= 500 + PROCESSES * SPREAD
