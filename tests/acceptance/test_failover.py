"""A Redis that fails over to its replica: wake-up messages may be lost with it, notifications are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.world import World
from tests.eventually import eventually
from tests.load import Load
from tests.queries import Tally
from tests.sentinels import PASSWORD, Watched, watched
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long


class Guarded(World):
    """A world whose Redis is watched by a Sentinel."""

    def __init__(self, system: System, mail_server: SmtpServer, redises: Watched) -> None:
        super().__init__(system, mail_server)
        self.redises = redises


@pytest.fixture(scope="module")
def world(
    module_database_url: str, mail_server: SmtpServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """gunicorn and workers that know the Sentinel only."""
    logs: Path = tmp_path_factory.mktemp("failover")
    with watched(logs) as redises:
        system = System(logs, database_url=module_database_url, redis_url=redises.url, smtp_url=mail_server.url)
        try:
            system.start_api(processes=2)
            system.start_workers()
            yield Guarded(system, mail_server, redises)
        finally:
            system.stop()


def delivered(world: Guarded, accepted: dict[int, str]) -> Tally:
    world.wait_for_the_end(accepted)
    return world.count(accepted)


def test_a_redis_master_that_dies_under_load_loses_nothing_without_any_restart(world: Guarded) -> None:
    pids = world.system.sql.worker_pids()
    load = Load(world.system.port, world.recipients(), 4).start()
    eventually(lambda: len(load.accepted) > 200)
    dead = world.redises.kill_master()
    before = len(load.accepted)
    eventually(lambda: len(load.accepted) > before + 200)
    load.stop()
    assert load.refused == []
    assert delivered(world, load.accepted) == Tally.perfect(len(load.accepted))
    assert world.system.sql.worker_pids() == pids

    world.redises.bring_back(dead)
    assert delivered(world, after := world.post(100)) == Tally.perfect(len(after))
    assert world.system.client.get("/readyz").json["checks"]["redis"] == "ok"


def test_the_password_of_redis_is_in_no_log(world: Guarded) -> None:
    world.post(1)
    assert PASSWORD not in world.system.logs()
