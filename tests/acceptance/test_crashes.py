"""Killed workers, a killed API, and an outage of each of the three servers: nothing is lost or sent twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from tests import embedded
from tests.acceptance.world import DELAYED, World
from tests.client import Response
from tests.eventually import eventually, outlast
from tests.load import Load, PersistentLoad
from tests.processes import Group
from tests.queries import Tally
from tests.smtp import Hang, Reply, SmtpServer
from tests.system import QUICK, System


class Fragile(World):
    """A world whose own PostgreSQL and Redis may be stopped."""

    def __init__(
        self, system: System, mail_server: SmtpServer, postgres: Postgres, valkey: Valkey, sockets: Path
    ) -> None:
        super().__init__(system, mail_server)
        self.postgres, self.valkey, self.sockets = postgres, valkey, sockets

    def heal(self) -> None:
        """Have gunicorn and two groups of workers at work, whatever the last test killed."""
        if self.system.api is None or not self.system.api.running:
            self.system.start_api(processes=2)
        self.system.only_workers(2)

    def worker_pids(self) -> list[list[int]]:
        """The processes of each group."""
        return [sorted(group.members) for group in self.system.workers]

    def holder(self, id: int) -> Group:
        """The group of workers that has claimed a notification."""
        sql = "SELECT w.pid FROM notifications AS n JOIN workers AS w ON w.id = n.claimed_by WHERE n.id = %s"
        [(pid,)] = self.system.sql.rows(sql, id)
        return next(group for group in self.system.workers if pid in group.members)


@pytest.fixture(scope="module")
def fragile(mail_server: SmtpServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fragile]:
    """Servers, gunicorn and workers of this module's own."""
    logs = tmp_path_factory.mktemp("crashes")
    with (
        embedded.short_directory() as directory,
        embedded.postgres(directory) as postgres,
        embedded.valkey(directory) as valkey,
        embedded.Databases(postgres).new() as database_url,
    ):
        system = System(logs, database_url=database_url, redis_url=valkey.url, smtp_url=mail_server.url)
        fragile = Fragile(system, mail_server, postgres, valkey, directory)
        try:
            yield fragile
        finally:
            system.stop()
            fragile.valkey.kill()


@pytest.fixture
def world(fragile: Fragile) -> Fragile:
    """System whose servers can be broken, with everything repaired."""
    fragile.heal()
    return fragile


def drain(world: World, count: int, delivered: int) -> dict[int, str]:
    """Post so many to a slow mail server and return when some are delivered and most are not."""
    world.mail_server.delay = 0.01
    accepted = world.post(count)
    eventually(lambda: len(world.mail_server.mails) >= delivered)
    assert len(world.mail_server.mails) < count
    return accepted


def test_a_notification_that_a_killed_worker_was_sending_is_rescued_and_sent_by_another(world: Fragile) -> None:
    recipient = world.recipient()
    world.mail_server.on("data", Hang(), to=recipient)
    id = world.post_one(recipient)
    eventually(lambda: world.mail_server.hanging == 1)
    world.holder(id).kill()
    assert world.ended(id)["status"] == "sent"
    assert [attempt["outcome"] for attempt in world.system.client.attempts(id)] == ["lost", "sent"]
    assert len(world.mail_server.mails_to(recipient)) == 1


def test_new_workers_send_the_notifications_that_killed_workers_held(world: Fragile) -> None:
    recipients = list(world.recipients(3))
    for recipient in recipients:
        world.mail_server.on("data", Hang(), to=recipient)
    accepted = {world.post_one(recipient): recipient for recipient in recipients}
    eventually(lambda: world.mail_server.hanging == 3)
    for group in world.system.workers:
        group.kill()
    waiting = world.post(20)
    world.heal()
    tally = world.tally(accepted | waiting)
    assert (tally.delivered, tally.twice, tally.recorded, tally.stuck) == (23, 0, 23, 0)


def test_replacing_workers_by_sigterm_during_sending_loses_and_doubles_nothing(world: Fragile) -> None:
    accepted = drain(world, 400, delivered=20)
    old = list(world.system.workers)
    for group in old:
        group.ask()
    world.system.workers.clear()
    world.heal()
    assert [group.stop() for group in old] == [0, 0]
    assert world.tally(accepted) == Tally.perfect(400)


def test_every_201_of_an_api_that_is_killed_under_load_is_delivered(world: Fragile) -> None:
    load = Load(world.system.port, world.recipients(), connections=8).start()
    for _ in range(3):
        wait_for_more(load, 100)
        assert world.system.api is not None
        world.system.api.kill()
        world.system.start_api(processes=2)
    load.stop()
    # What was stored just before the API died has no 201, and must go out all the same.
    stored = world.system.sql.rows("SELECT id, recipient FROM notifications WHERE id >= %s", min(load.accepted))
    assert load.accepted.items() <= dict(stored).items()
    assert world.tally(dict(stored)) == Tally.perfect(len(stored))


def test_requests_repeated_until_answered_store_one_notification_each_whatever_is_killed(
    world: Fragile,
) -> None:
    load = PersistentLoad(world.system.port, world.recipients(), connections=8)
    load.start()
    kills = 0
    # Until some were stored before the API died and answered after: else this tests nothing.
    while kills < 3 or (kills < 20 and not load.replayed):
        kills += 1
        wait_for_more(load, 100)
        assert world.system.api is not None
        world.system.api.kill()
        world.system.start_api(processes=2)
    wait_for_more(load, 100)
    load.stop()
    assert load.replayed
    stored = world.system.sql.rows("SELECT id, recipient FROM notifications WHERE id >= %s", min(load.accepted))
    # None was stored twice, and none without its client having been told.
    assert dict(stored) == load.accepted
    assert world.tally(load.accepted) == Tally.perfect(len(load.accepted))


def test_a_sigterm_while_the_api_is_still_starting_is_not_forgotten(world: Fragile, tmp_path: Path) -> None:
    urls = {name: world.system.environ[name.upper()] for name in ("database_url", "redis_url", "smtp_url")}
    another = System(tmp_path, **urls)
    # Ready is the first of these processes; the others are still loading the application.
    api = another.start_api(processes=4)
    assert api.stop() == 0, another.logs()


def wait_for_more(load: Load, more: int) -> None:
    """Return when so many more were accepted than now."""
    enough = len(load.accepted) + more
    eventually(lambda: len(load.accepted) >= enough, within=20, saying=lambda: load.refused[-3:])


def test_a_redis_that_hangs_loses_nothing(world: Fragile) -> None:
    before = world.worker_pids()
    world.valkey.signal(signal.SIGSTOP)
    try:
        load = Load(world.system.port, world.recipients(40), connections=4).start().finish()
        outlast(2 * float(QUICK["REDIS_TIMEOUT"]))
    finally:
        world.valkey.signal(signal.SIGCONT)
    assert load.refused == []
    assert world.tally(load.accepted) == Tally.perfect(40)
    assert world.worker_pids() == before


def test_retries_survive_a_redis_that_restarts_empty(world: Fragile, tmp_path: Path) -> None:
    before = world.worker_pids()
    accepted = retries_in_memory(world, 30)
    world.valkey.kill()
    waiting = world.post(20)
    eventually(lambda: overdue(world, accepted), within=15, every=0.1)
    # The same socket, and nothing in it.
    world.valkey = Valkey(tmp_path, world.sockets)
    world.valkey.start()
    tally = world.tally(accepted | waiting)
    assert tally == Tally(accepted=50, delivered=50, twice=0, recorded=50, stuck=0, attempts=4 * 30 + 20)
    assert world.worker_pids() == before


def test_retries_survive_a_redis_that_restarts_with_its_data(world: Fragile) -> None:
    before = world.worker_pids()
    accepted = retries_in_memory(world, 30)
    world.valkey.kill()
    eventually(lambda: overdue(world, accepted), within=15, every=0.1)
    world.valkey.start()
    tally = world.tally(accepted)
    assert tally == Tally(accepted=30, delivered=30, twice=0, recorded=30, stuck=0, attempts=4 * 30)
    assert world.worker_pids() == before


def retries_in_memory(world: World, count: int) -> dict[int, str]:
    """So many notifications, refused three times; their delayed messages wait in the workers' memory."""
    accepted = {}
    for recipient in world.recipients(count):
        world.mail_server.on("rcpt", Reply(451, "4.2.1 come back later"), to=recipient, times=3)
        accepted[world.post_one(recipient)] = recipient
    # Not exactly: the first may be tried a fourth time before the last was tried a third.
    eventually(lambda: world.system.sql.attempts(list(accepted)) >= 3 * count)
    eventually(lambda: world.queued(DELAYED) == 0)
    assert world.system.sql.statuses(list(accepted))["sent"] < count
    return accepted


def overdue(world: World, accepted: dict[int, str]) -> bool:
    """Return True if a pending one of these is overdue by more than 2 s, because no wake-up message was sent."""
    sql = "SELECT min(now() - next_attempt_at) > interval '2 s' FROM notifications WHERE id = ANY(%s)"
    [(late,)] = world.system.sql.rows(sql + " AND status = 'pending'", list(accepted))
    return bool(late)


def test_retries_survive_a_flush_of_redis(world: Fragile) -> None:
    recipient = world.recipient()
    world.mail_server.on("rcpt", Reply(451, "4.2.1 come back later"), to=recipient, times=2)
    id = world.post_one(recipient)
    eventually(lambda: world.mail_server.refusals_of(recipient))
    with redis.Redis.from_url(world.valkey.url) as client:
        client.flushall()
    assert world.ended(id)["status"] == "sent"
    assert len(world.mail_server.mails_to(recipient)) == 1


def refused(world: Fragile, accepted: dict[int, str]) -> Response | None:
    """The answer 503 to one more POST; one that is taken all the same is noted."""
    recipient = world.recipient()
    answer = world.system.client.notify(recipient)
    if answer.status == 201:
        accepted[answer.json["id"]] = recipient
    return answer if answer.status == 503 else None


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_of_postgresql_during_sending_loses_nothing_and_costs_no_attempts(world: Fragile, end: str) -> None:
    before = world.worker_pids()
    accepted = drain(world, 300, delivered=20)
    getattr(world.postgres, end)()
    # The processes of a server that was killed may serve a moment longer: what they take counts like the rest.
    answer = eventually(lambda: refused(world, accepted))
    assert answer is not None
    assert "retry-after" in answer.headers
    # Nobody may be taken for dead only because nobody could report.
    outlast(1.3 * float(QUICK["WORKER_TIMEOUT"]))
    world.postgres.start()
    assert world.tally(accepted, within=40) == Tally.perfect(len(accepted))
    eventually(lambda: world.system.client.get("/readyz").status == 200)
    assert world.tally(world.post(20)) == Tally.perfect(20)
    assert world.worker_pids() == before


def test_after_an_outage_the_mail_server_gets_every_mail_once(world: Fragile) -> None:
    accepted = drain(world, 200, delivered=20)
    world.mail_server.stop()
    # Where no connection works, each further one is tried after a longer pause.
    opened = "SELECT 1 FROM providers WHERE opened_at IS NOT NULL"
    eventually(lambda: world.system.sql.rows(opened), within=60, saying=world.system.logs)
    world.mail_server.start()
    tally = world.tally(accepted, within=90)
    assert (tally.delivered, tally.twice, tally.recorded, tally.stuck) == (200, 0, 200, 0)
    # Each thread of each group may have failed once more while the breaker opened.
    assert tally.attempts <= 200 + 2 * (5 + 4) + 5
