"""Probe of Redis as the API and the workers use it: pass a test message, and look for other programs."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from actors.queue import namespace, presence, redis_faults, redis_probe
from actors.queue.broker import NotificationBroker, connect
from cli.doctor.findings import Finding, ok, problem, warning
from db import database
from settings import Settings, SettingsError

CHECK = "redis"
LOOKED_AT = 100_000  # keys


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield findings on whether messages pass, under which namespace, and on other programs in the same Redis."""
    broker = connect(chosen)
    place = None
    try:
        database.bind(chosen.database)
        broker.namespace = namespace.stored(chosen.redis)
        place = presence.place()
    except (SettingsError, database.Unavailable):
        if not chosen.redis.namespace:
            what = (
                "passing a message was not tried: the namespace of the keys is in the database, which does not answer"
            )
            yield warning(CHECK, what, "fix the database first")
            return
    try:
        yield from _use(broker)
        yield from _shared(broker, place)
        yield from _neighbours(broker)
    except redis.RedisError as error:
        fault = redis_faults.of(error)
        if not fault.rights:  # _use has reported missing rights.
            yield problem(CHECK, fault.what, fault.fix)
    finally:
        broker.client.connection_pool.disconnect()


def _use(broker: NotificationBroker) -> Iterator[Finding]:
    fault = redis_probe.fault(broker)
    if fault is not None:
        yield problem(CHECK, f"no message passes through it: {fault.what}", fault.fix)
        return
    redis_probe.leave(broker)
    yield ok(CHECK, f"a message passes through it, under the namespace {broker.namespace}")


def _shared(broker: NotificationBroker, place: str | None) -> Iterator[Finding]:
    if place is not None and presence.others(broker, place):
        yield problem(
            CHECK,
            f"workers of another database use the namespace {broker.namespace} too and take our messages",
            "set REDIS_NAMESPACE to another name for one of them (a restored dump has the namespace of its original)",
        )


def _neighbours(broker: NotificationBroker) -> Iterator[Finding]:
    found = presence.neighbours(broker, LOOKED_AT)
    ours = [name for name in found if name.startswith(namespace.PREFIX)]
    others = [name for name in found if name not in ours]
    if ours:
        yield warning(
            CHECK,
            f"another installation uses it: {', '.join(ours)}; their keys are separate, memory and outages are shared",
            "give each installation its own Redis, unless this is intended",
        )
    if others:
        yield ok(CHECK, f"other programs use Dramatiq on it, with separate keys: {', '.join(others)}")
