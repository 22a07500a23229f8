"""Probe of Redis or Valkey: does it answer, and does it keep its data?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from cli import lazy
from cli.doctor.findings import Finding, ok, problem, warning
from settings import Settings

CHECK = "redis"
OLDEST = (6, 2)
SLOW = 0.010  # seconds
ALMOST = 0.9  # of maxmemory
ASKED = 5  # pings; the fastest answer counts, because other probes use the CPU at the same time


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield the findings, over one connection."""
    if not chosen.redis_url:
        return
    try:
        with redis.Redis(
            connection_pool=lazy.attribute("actors.queue.redis_pools:pool")(chosen, chosen.redis_timeout)
        ) as client:
            took = min(_asked(client) for _ in range(ASKED))
            yield from _info(client, took)
    except (redis.RedisError, OSError) as error:
        fault = lazy.attribute("actors.queue.redis_faults:of")(error)
        yield problem(CHECK, f"cannot be used: {fault.what}", fault.fix)
        return
    yield from lazy.attribute("cli.doctor.redis_use:findings")(chosen)


def _info(client: redis.Redis, took: float) -> Iterator[Finding]:
    """Yield the findings from INFO, a command that only the doctor needs."""
    try:
        known: Mapping[str, Any] = client.info()
    except redis.ResponseError as error:
        if not lazy.attribute("actors.queue.redis_faults:of")(error).rights:
            raise
        fix = "allow this user the command INFO (ACL), or undo its rename-command"
        yield warning(CHECK, f"version and memory are unknown, because it refuses INFO: {error}", fix)
        return
    yield _version(known, took)
    yield from _memory(known)
    yield from _state(known)
    if not known.get("aof_enabled") and not _saves(client):
        what = "it loses its data at a restart: rates and quotas then start at zero; no notification is lost"
        yield warning(CHECK, what, "set appendonly yes")


def _asked(client: redis.Redis) -> float:
    begun = time.monotonic()
    client.ping()
    return time.monotonic() - begun


def _saves(client: redis.Redis) -> bool:
    """Return whether it writes snapshots; True if it refuses to say."""
    try:
        answer: Mapping[str, str] = client.config_get("save")  # type: ignore[assignment]
        return bool(answer.get("save", "unknown"))
    except redis.ResponseError:
        return True


def _version(known: Mapping[str, Any], took: float) -> Finding:
    name = "Valkey" if "valkey_version" in known else "Redis"
    # In Valkey this is the version of Redis that it is compatible with.
    version = str(known.get("redis_version", "0"))
    said = f"{name} {known.get('valkey_version', version)} answers in {took * 1000:.1f} ms"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        return problem(CHECK, said, "this version is too old: use Redis 6.2 or newer, or Valkey")
    if took > SLOW:
        return warning(CHECK, said, "this is slow: run it in the same data centre")
    return ok(CHECK, said)


def _memory(known: Mapping[str, Any]) -> Iterator[Finding]:
    policy, most, used = (known.get(name) for name in ("maxmemory_policy", "maxmemory", "used_memory"))
    if policy not in (None, "noeviction"):
        what = f"maxmemory-policy is {policy}: when memory is short, wake-up messages and counted limits are evicted"
        yield warning(CHECK, what, "set maxmemory-policy noeviction")
    if most and used and used > ALMOST * most:
        yield warning(
            CHECK, f"{used / most:.0%} of maxmemory is used", "raise maxmemory, or find out what else it holds"
        )


def _state(known: Mapping[str, Any]) -> Iterator[Finding]:
    if known.get("role") not in (None, "master"):
        yield problem(CHECK, "it is a replica and read-only", "point REDIS_URL at the primary")
    if known.get("loading"):
        yield warning(CHECK, "it is still loading its data", "wait")
