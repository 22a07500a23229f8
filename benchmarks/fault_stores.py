"""Faults of Redis and PostgreSQL: flushed, stopped, hanging, replaced, cut off, full."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from benchmarks.fault_rows import row
from benchmarks.fault_scene import THREADS, Scene
from cli.servers.valkey import Valkey
from tests.acceptance.troubles import disk_full, read_only, too_many_connections
from tests.proxy import Proxy
from tests.smtp import Reply

DEFERRED = 200  # recipients that are deferred twice


def _with_retries(scene: Scene, seconds: float) -> None:
    """Start workers, POST load and delayed retries."""
    for recipient in list(scene.recipients(DEFERRED)):
        scene.server.on("rcpt", Reply(451, "4.3.0 later"), to=recipient, times=2)
    scene.work()
    scene.post(seconds)
    scene.arrived(50)


def _report(scene: Scene) -> None:
    load = scene.posted()
    scene.promise(load.slowest < 1 and not load.refused, "a POST was slow or refused")
    scene.note = f"slowest POST {load.slowest:.2f} s, {len(load.refused)} refused; {2 * DEFERRED} retries asked for"


@row("redis-flush", "Redis FLUSHALL, 5 times", scripted=True)
def redis_flush(scene: Scene) -> None:
    """All waiting messages are lost."""
    _with_retries(scene, 8)
    for _ in range(5):
        scene.ground.redis().flushall()
        time.sleep(1)
    scene.healed()
    _report(scene)


@row("redis-stop", "Redis stopped for 20 s", scripted=True)
def redis_stop(scene: Scene) -> None:
    """Redis returns with its data."""
    _with_retries(scene, 15)
    scene.ground.valkey.stop()
    time.sleep(20)
    scene.ground.valkey.start()
    scene.healed()
    _report(scene)


@row("redis-hang", "Redis SIGSTOPped for 10 s", scripted=True)
def redis_hang(scene: Scene) -> None:
    """Redis accepts connections, but does not answer."""
    _with_retries(scene, 10)
    scene.ground.valkey.signal(signal.SIGSTOP)
    time.sleep(10)
    scene.ground.valkey.signal(signal.SIGCONT)
    scene.healed()
    _report(scene)


@row("redis-empty", "Redis killed and replaced by an empty one", scripted=True)
def redis_empty(scene: Scene) -> None:
    """The new server has the same address, but no data."""
    _with_retries(scene, 8)
    scene.ground.valkey.kill()
    time.sleep(5)
    elsewhere = scene.ground.folder / "empty"
    scene.ground.valkey = Valkey(elsewhere, scene.ground.folder)
    scene.ground.valkey.start()
    scene.healed()
    _report(scene)


def _postgres(scene: Scene, end: Callable[[], object]) -> None:
    scene.ground.sink.delay(20)
    scene.work()
    scene.post(10)
    scene.arrived(50)
    end()
    time.sleep(5)
    scene.ground.postgres.start()
    scene.healed()
    _refusals(scene)


def _refusals(scene: Scene) -> None:
    refused = scene.posted().refused
    unavailable = sum(answer.startswith("503") for answer in refused)
    scene.promise(0 < unavailable == len(refused), "a POST was refused with another answer than 503")
    scene.note = f"POSTs during the fault: {unavailable} answered 503, {len(refused) - unavailable} otherwise"


@row("pg-restart", "PostgreSQL stopped for 5 s while sending")
def pg_restart(scene: Scene) -> None:
    """PostgreSQL shuts down in order."""
    _postgres(scene, scene.ground.postgres.stop)


@row("pg-kill", "PostgreSQL SIGKILLed while sending, back after 5 s")
def pg_kill(scene: Scene) -> None:
    """PostgreSQL recovers from its WAL."""
    _postgres(scene, scene.ground.postgres.kill)


@row("cut", "network cut between workers and PostgreSQL for 8 s while sending")
def cut(scene: Scene) -> None:
    """Some mails are always sent but not recorded yet."""
    scene.ground.sink.delay(20)
    url = scene.system.environ["DATABASE_URL"]
    with Proxy.of_database(url) as network:
        for _ in range(2):
            scene.system.start_workers(threads=THREADS, database_url=network.through(url))
        scene.fill()
        scene.arrived(50)
        network.cut()
        time.sleep(8)
        arrived = scene.arrivals.mails()
        recorded = scene.system.sql.statuses(list(scene.accepted))["sent"]
        network.mend()
        scene.healed()
        scene.finish()
    scene.note = f"{arrived - recorded} sent but not recorded during the cut"


def _trouble(scene: Scene, trouble: Callable[[Scene], AbstractContextManager[None]]) -> None:
    scene.ground.sink.delay(20)
    scene.work()
    scene.post(8)
    scene.arrived(50)
    with trouble(scene):
        time.sleep(4)
    scene.healed()
    _refusals(scene)


@row("read-only", "database read-only for 4 s")
def pg_read_only(scene: Scene) -> None:
    """Writes fail as on a standby."""
    _trouble(scene, lambda s: read_only(s.ground.postgres, s.system))


# If only one worker were cut off for longer than WORKER_TIMEOUT, the others would consider it dead.
@row("connections", "too many connections for 4 s", worker_timeout=10)
def pg_connections(scene: Scene) -> None:
    """Other sessions use all connections."""
    _trouble(scene, lambda s: too_many_connections(s.ground.postgres, s.system))


@row("disk-full", "disk full for 4 s (as PostgreSQL reports it)")
def pg_disk_full(scene: Scene) -> None:
    """A trigger raises the error that PostgreSQL would raise."""
    _trouble(scene, lambda s: disk_full(s.system))
