"""Faults of workers and the API: killed, replaced, poisoned, with a wrong clock."""

from __future__ import annotations

import os
import signal
import time

from benchmarks.fault_rows import row
from benchmarks.fault_scene import GROUPS, THREADS, Scene
from benchmarks.processes import wait_until
from db.lifecycle import AHEAD
from settings.providers import CONNECTIONS
from tests.acceptance.troubles import POISON
from tests.smtp import Reply

ROUNDS = 5
# Mails that all workers together may have sent but not recorded: of each connection to the mail server those that it is
# ahead of the records. The connections are those of all processes.
IN_DOUBT = AHEAD * CONNECTIONS


def _drain(scene: Scene, milliseconds: float, **fields: object) -> None:
    """Post all notifications, then begin to send them to a slow server."""
    scene.ground.sink.delay(milliseconds)
    scene.fill(**fields)
    scene.work()
    scene.arrived(50)


def _kill_every_two_seconds(scene: Scene) -> None:
    for _ in range(ROUNDS):
        time.sleep(2)
        for group in scene.system.workers:
            group.kill()
        scene.system.workers.clear()
        scene.work()
    scene.healed()


@row("kill", "workers SIGKILLed every 2 s, 5 times", size=5_000, doubled=IN_DOUBT * ROUNDS)
def kill(scene: Scene) -> None:
    """Only mails that were sent but not recorded may arrive twice."""
    _drain(scene, 40)
    _kill_every_two_seconds(scene)
    scene.note = f"at most {IN_DOUBT * ROUNDS} may double"


@row("hold", "the same with `onUncertain: hold`", size=5_000, failed=IN_DOUBT * ROUNDS)
def hold(scene: Scene) -> None:
    """No mail arrives twice: notifications with an unknown outcome fail."""
    _drain(scene, 40, onUncertain="hold")
    _kill_every_two_seconds(scene)
    scene.finish()
    reasons = scene.system.sql.rows("SELECT DISTINCT failure_reason FROM notifications WHERE status = 'failed'")
    scene.promise(set(reasons) <= {("outcome-unknown",)}, "failed for another reason")
    scene.note = "all failed are outcome-unknown"


@row("standstill", "a group of workers SIGSTOPped for 5 s (WORKER_TIMEOUT 3), 3 times", size=5_000,
     doubled=IN_DOUBT * 3)  # fmt: skip
def standstill(scene: Scene) -> None:
    """Like a paused machine: others take over, and it must not continue what they have sent."""
    _drain(scene, 40)
    for turn in range(3):
        group = scene.system.workers[turn % GROUPS]
        group.signal_all(signal.SIGSTOP)
        time.sleep(5)
        group.signal_all(signal.SIGCONT)
    scene.healed()
    scene.note = f"at most {IN_DOUBT * 3} may double"


@row("deploy", "workers replaced by SIGTERM, 5 times", size=5_000)
def deploy(scene: Scene) -> None:
    """New ones start before the old ones stop."""
    _drain(scene, 80)
    for _ in range(ROUNDS):
        old = list(scene.system.workers)
        scene.system.workers.clear()
        scene.work()
        for group in old:
            group.ask()
        assert [group.stop() for group in old] == [0] * len(old)
    scene.healed()


@row("sibling", "one worker process of two SIGKILLed", doubled=IN_DOUBT)
def sibling(scene: Scene) -> None:
    """The master stops the other process in order; a supervisor starts both again."""
    scene.ground.sink.delay(20)
    scene.fill()
    group = scene.system.start_workers(processes=2, threads=THREADS)
    scene.arrived(50)
    os.kill(min(scene.system.sql.worker_pids() & set(group.members)), signal.SIGKILL)
    wait_until(lambda: not group.members, "the end of the siblings")
    scene.system.start_workers(processes=2, threads=THREADS)
    scene.healed()


@row("master", "the Dramatiq master SIGKILLed", doubled=IN_DOUBT)
def master(scene: Scene) -> None:
    """No orphaned process continues."""
    scene.ground.sink.delay(20)
    scene.fill()
    group = scene.system.start_workers(processes=2, threads=THREADS)
    scene.arrived(50)
    group.signal(signal.SIGKILL)
    wait_until(lambda: not group.members, "the end of the orphans", 2)
    scene.system.start_workers(processes=2, threads=THREADS)
    scene.healed()


@row("poison", "a notification that kills its worker each time", doubled=IN_DOUBT * 5, failed=1,
     worker_timeout=2)  # fmt: skip
def poison(scene: Scene) -> None:
    """A supervisor starts the worker again each time."""
    scene.ground.sink.delay(8)
    module, starts = "tests.acceptance.poisoned", 1
    scene.system.start_workers(threads=THREADS, module=module)
    id = scene.system.client.notify(POISON).json["id"]
    scene.accepted[id] = POISON
    scene.fill()

    def failed() -> bool:
        return scene.system.sql.statuses([id])["failed"] == 1

    while not failed() and starts < 12:
        # A worker that dies while it boots is missed by its master only after --worker-fork-timeout, 30 s.
        wait_until(lambda: failed() or not scene.system.workers[-1].running, "a death", 45)
        if not failed():
            scene.system.spawn_workers(threads=THREADS, module=module)
            starts += 1
    scene.healed()
    attempts = len(scene.system.client.attempts(id))
    scene.promise(attempts == 5, "not 5 attempts")
    scene.note = f"{attempts} attempts, {starts} starts"


def _clock(scene: Scene, off_by: int) -> None:
    for recipient in list(scene.recipients(100)):
        scene.server.on("rcpt", Reply(451, "4.3.0 later"), to=recipient)
    scene.system.start_workers(threads=THREADS, module="tests.acceptance.skewed", clock_off_by=off_by)
    scene.system.start_workers(threads=THREADS)
    scene.healed()
    scene.fill()
    scene.finish()
    early = scene.system.sql.rows(
        "SELECT count(*) FROM attempts AS a JOIN attempts AS b USING (notification_id) WHERE a.number = 1"
        " AND b.number = 2 AND b.started_at < a.finished_at + interval '0.3 s'"
    )
    scene.promise(early == [(0,)], "retried too early")
    scene.note = f"100 deferred; {early[0][0]} retried too early"


@row("clock-ahead", "one worker's clock 5 min ahead", scripted=True)
def clock_ahead(scene: Scene) -> None:
    """Due times depend on the database's clock only."""
    _clock(scene, 300)


@row("clock-behind", "one worker's clock 5 min behind", scripted=True)
def clock_behind(scene: Scene) -> None:
    """Due times depend on the database's clock only."""
    _clock(scene, -300)


@row("api", "API SIGKILLed under POST load, 5 times", size=5_000)
def api(scene: Scene) -> None:
    """Every 201 is delivered."""
    scene.work()
    load = scene.post(12)
    for _ in range(ROUNDS):
        enough = len(load.accepted) + 100
        wait_until(lambda n=enough: len(load.accepted) >= n, "more answers")  # type: ignore[misc]
        assert scene.system.api is not None
        scene.system.api.kill()
        scene.system.start_api(processes=2)
    scene.healed()
    scene.posted()
    stored = scene.system.sql.rows("SELECT count(*) FROM notifications")[0][0]
    scene.note = f"{len(load.refused)} without answer, {stored - len(load.accepted)} of them stored"
