"""Faults of SMS, push, chat and webhooks: their providers, the workers, Redis and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable

from actors.channels.webhook.posting import AT_A_TIME
from benchmarks.channels import CHANNELS
from benchmarks.fault_rows import ROWS, Act, Row
from benchmarks.fault_scene import GROUPS, Scene
from benchmarks.http_sink import HttpMailboxClient
from db.lifecycle import AHEAD
from settings import push_accounts, sms_accounts

AWAY = 8.0  # seconds
KILLS = 3
CUTS = 50
# Chat and webhooks have no breaker, so all attempts must not fall into one outage.
SETTINGS: dict[str, object] = {
    **{"retry_min_backoff": 1, "retry_max_backoff": 10},
    **{"callback_timeout": 2, "callback_rest": 1},
}
# Messages of each channel that a kill of all workers may leave sent and not recorded: AHEAD of each connection.
IN_DOUBT = {
    "sms": AHEAD * sms_accounts.CONNECTIONS,
    "push": AHEAD * push_accounts.CONNECTIONS,
    "chat": AHEAD * AT_A_TIME * GROUPS,
    "webhook": AHEAD * AT_A_TIME * GROUPS,
}


def rows(
    name: str,
    fault: str,
    doubled: Callable[[str], int] = lambda _: 0,
    failed: Callable[[str], int] = lambda _: 0,
) -> Callable[[Act], Act]:
    """Decorate a function that causes a fault, and add a row for each channel. The bounds depend on the channel."""

    def add(act: Act) -> Act:
        for channel in CHANNELS:
            ROWS.append(Row(name, fault, act, 2_000, False, doubled(channel), failed(channel), SETTINGS, channel))
        return act

    return add


def _provider(scene: Scene) -> HttpMailboxClient:
    return scene.ground.http.mailbox


def _meets(scene: Scene, fault: str, times: int = -1, seconds: float = 0.0) -> None:
    """Post and send; the provider misbehaves `times` times, and at most for some seconds if they are given."""
    scene.work()
    scene.post(10)
    scene.arrived(50)
    _provider(scene).misbehave(fault, times)
    if seconds:
        time.sleep(seconds)
        _provider(scene).misbehave()
    scene.healed()
    scene.finish()
    outcomes = "SELECT outcome, count(*) FROM attempts WHERE outcome <> 'sent' GROUP BY 1 ORDER BY 1"
    scene.note = ", ".join(f"{count} {outcome}" for outcome, count in scene.system.sql.rows(outcomes))


@rows("refuse", f"the provider refuses connections for {AWAY:g} s")
def refuse(scene: Scene) -> None:
    """Nothing can have been taken."""
    _meets(scene, "refuse", seconds=AWAY)


@rows("hang", f"the provider takes nothing and does not answer for {AWAY:g} s, then resets the connections")
def hang(scene: Scene) -> None:
    """The outcomes are unknown."""
    _meets(scene, "hang", seconds=AWAY)


@rows("429", f"the provider answers 429 with Retry-After for {AWAY:g} s")
def throttled(scene: Scene) -> None:
    """No attempt is charged."""
    _meets(scene, "429", seconds=AWAY)
    charged = scene.system.sql.rows("SELECT count(*) FROM notifications WHERE retry_count > 0")[0][0]
    scene.promise(charged == 0, "an attempt was charged")


@rows("503", f"the provider answers 503 with Retry-After for {AWAY:g} s")
def unavailable(scene: Scene) -> None:
    """It has certainly not taken what it answers so."""
    _meets(scene, "503", seconds=AWAY)


@rows("500", "the provider answers 500 to 200 requests")
def broken(scene: Scene) -> None:
    """It may have taken them."""
    _meets(scene, "500", 200)


@rows("cut", f"the provider takes {CUTS} messages and resets their connections", doubled=lambda _: CUTS)
def cut(scene: Scene) -> None:
    """These are sent again."""
    _meets(scene, "cut", CUTS)


@rows("cut-hold", "the same with `onUncertain: hold`", failed=lambda _: CUTS)
def cut_hold(scene: Scene) -> None:
    """These fail, and no message arrives twice."""
    _provider(scene).misbehave("cut", CUTS)
    scene.work()
    scene.fill(onUncertain="hold")
    scene.healed()
    scene.finish()
    found = scene.system.sql.rows(
        "SELECT failure_reason, count(*) FROM notifications WHERE status = 'failed' GROUP BY 1"
    )
    scene.promise(found == [("outcome-unknown", CUTS)], f"failed: {found}")


def _backlog(scene: Scene) -> None:
    """Send a backlog through a provider so slow that it lasts for several seconds."""
    _provider(scene).delay(500)
    scene.fill()
    scene.work()
    scene.arrived(50)


@rows("kill", f"all workers SIGKILLed every 2 s, {KILLS} times", doubled=lambda channel: KILLS * IN_DOUBT[channel])
def kill(scene: Scene) -> None:
    """New ones start at once."""
    assert scene.channel is not None
    scene.note = f"at most {KILLS * IN_DOUBT[scene.channel.name]} may double"
    _backlog(scene)
    for _ in range(KILLS):
        _kill_all(scene)
        scene.work()
        time.sleep(2)
    scene.healed()


@rows("killed", "all workers SIGKILLed, none for 8 s", doubled=lambda channel: IN_DOUBT[channel])
def killed(scene: Scene) -> None:
    """Nothing is sent meanwhile, and nothing is lost."""
    _backlog(scene)
    _kill_all(scene)
    time.sleep(AWAY)
    scene.work()
    scene.healed()


def _kill_all(scene: Scene) -> None:
    for group in scene.system.workers:
        group.kill()
    scene.system.workers.clear()


@rows("redis-flush", "Redis FLUSHALL, 5 times")
def redis_flush(scene: Scene) -> None:
    """All wake-up messages are lost."""
    _posting(scene)
    for _ in range(5):
        scene.ground.redis().flushall()
        time.sleep(1)
    scene.healed()
    load = scene.posted()
    scene.promise(not load.refused, "a POST was refused")


@rows("redis-restart", f"Redis stopped for {AWAY:g} s")
def redis_restart(scene: Scene) -> None:
    """POSTs are accepted meanwhile."""
    _posting(scene)
    scene.ground.valkey.stop()
    time.sleep(AWAY)
    scene.ground.valkey.start()
    scene.healed()
    load = scene.posted()
    scene.promise(not load.refused, "a POST was refused")


@rows("pg-restart", "PostgreSQL stopped for 5 s while sending")
def postgres_restart(scene: Scene) -> None:
    """Outcomes wait in the workers' memory."""
    _posting(scene)
    scene.ground.postgres.stop()
    time.sleep(5)
    scene.ground.postgres.start()
    scene.healed()
    refused = scene.posted().refused
    scene.promise(all(answer.startswith("503") for answer in refused), "a POST was refused with another answer")
    scene.note = f"POSTs during the fault: {len(refused)} answered 503"


def _posting(scene: Scene) -> None:
    """Send while notifications are posted, through a slow provider."""
    _provider(scene).delay(50)
    scene.work()
    scene.post(10)
    scene.arrived(50)
