"""Workers delete expired notifications, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.acceptance.world import World
from tests.client import NOTIFICATIONS
from tests.eventually import eventually
from tests.smtp import Reply, SmtpServer
from tests.system import System

# As soon as it is sent, by whichever of the two workers has its turn.
AT_ONCE = {"retention_sent": 1, "retention_lateness": 0, "retention_interval": 1}


def test_workers_delete_sent_notifications_and_keep_failed_ones(
    database_url: str, redis_url: str, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    system = System(tmp_path, database_url=database_url, redis_url=redis_url, smtp_url=smtp_server.url, **AT_ONCE)
    world = World(system, smtp_server)
    try:
        system.start_api()
        system.start_workers(processes=2)
        refused = world.recipient()
        smtp_server.on("rcpt", Reply(550, "5.1.1 nobody here"), to=refused)
        failed = world.post_one(refused)
        for round in (1, 2):
            posted = world.post(50)
            eventually(partial(_gone, system, posted), within=30, saying=system.logs)
            assert list(smtp_server.copies().values()) == [1] * 50 * round
        assert system.client.get(f"{NOTIFICATIONS}/{next(iter(posted))}").status == 404
        assert world.ended(failed)["status"] == "failed"
    finally:
        system.stop()


def _gone(system: System, posted: dict[int, str]) -> bool:
    return not system.sql.rows("SELECT id FROM notifications WHERE id = ANY(%s)", list(posted))
