"""The providers as workers report them, and what operators have changed. Call within `connection()`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db import live_stats
from db.database import rows
from db.live_stats import Worker


class Provider(NamedTuple):
    """A provider.

    `config`: its channel, and the numbers of its URL. `weight`: set by operators, or None.
    `opened_at`, `reason`: since when and why its breaker is open; None while it works. `refused_domains`: the From
    domains that it refuses, each with `domain`, `since` (RFC 3339) and `reason`. `silent_since`: when it was noticed
    that its reports have stopped; None if they have not.
    `daily_used`: how much of its daily limit is used. `exhausted_until`: until when it is used up, None if it is not.
    """

    name: str
    enabled: bool
    weight: int | None
    config: Mapping[str, Any]
    opened_at: datetime | None
    reason: str | None
    refused_domains: Sequence[Mapping[str, Any]] = ()
    silent_since: datetime | None = None
    daily_used: int = 0
    exhausted_until: datetime | None = None

    @property
    def channel(self) -> str | None:
        """The channel of its notifications; None if it was reported by a version with only one."""
        return self.config.get("channel")

    @property
    def weight_in_force(self) -> int | None:
        """The weight of operators, or else that of its URL."""
        return self.weight or self.config.get("weight")


class Use(NamedTuple):
    """Use of a provider by the live workers since each has started: attempts by outcome."""

    workers: int
    attempts: Mapping[str, int]

    @property
    def success(self) -> float | None:
        """The part of the attempts that the provider took, from 0 to 1; None if there was no attempt."""
        made = sum(self.attempts.values())
        return self.attempts.get("sent", 0) / made if made else None


Known = tuple[Provider, Use]
# `daily_used`: as in actors/channels/daily.py: quarters of an hour since 1970, of which 97 count.
_COLUMNS = """name, enabled, weight, config, opened_at, reason,
        (SELECT coalesce(json_agg(json_build_object('domain', r.domain, 'since', rfc3339(r.opened_at),
                                                    'reason', r.reason) ORDER BY r.domain), '[]')
         FROM refused_domains AS r WHERE r.provider = name AND r.opened_at IS NOT NULL), silent_since,
        (SELECT coalesce(sum(value::bigint), 0)::bigint FROM jsonb_each_text(daily_used)
         WHERE key::bigint > floor(extract(epoch FROM now()) / 900) - 97),
        CASE WHEN exhausted_until > now() THEN exhausted_until END"""


def report(name: str, config: Mapping[str, Any]) -> None:
    """Record what the URL of a provider says, when a worker starts. Another daily limit may leave something."""
    rows(
        """
        INSERT INTO providers AS p (name, config) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET config = excluded.config, exhausted_until = NULL
        WHERE p.config <> excluded.config
        """,
        name,
        json.dumps(dict(config)),
    )


def record_daily(name: str, counts: Mapping[str, int], exhausted_for: float) -> None:
    """Record what is counted against the daily limit, by quarter of an hour, if that is known.

    `exhausted_for`: seconds until something is left; 0.0 if something is.
    """
    rows(
        """
        UPDATE providers
        SET daily_used = coalesce(nullif(%s::jsonb, '{}'), daily_used),
            exhausted_until = CASE WHEN %s > 0 THEN now() + %s * interval '1 second' ELSE exhausted_until END
        WHERE name = %s
        """,
        *(json.dumps(dict(counts)), exhausted_for, exhausted_for, name),
    )


def daily_counts(name: str) -> dict[str, int]:
    """Return what was recorded of the counts, by quarter of an hour."""
    return {
        at: count
        for (counts,) in rows("SELECT daily_used FROM providers WHERE name = %s", name)
        for at, count in counts.items()
    }


def reported() -> list[Provider]:
    """Return the providers that a worker has ever reported, by name."""
    return [Provider(*row) for row in rows(f"SELECT {_COLUMNS} FROM providers WHERE config <> '{{}}' ORDER BY name")]


def channels() -> dict[str, str]:
    """Return the channel of each reported provider, by its name."""
    return {one.name: one.channel or "email" for one in reported()}


def listed(worker_timeout: float) -> list[Known]:
    """Return the reported providers, and how the live workers use each."""
    workers = live_stats.workers(worker_timeout)
    return [(one, use(one.name, workers)) for one in reported()]


def change(name: str, changes: Mapping[str, Any]) -> Provider | None:
    """Change `enabled` or `weight` of a provider, or both; return None if it is unknown. Its breaker stays as it is.

    A weight of None means that of its URL.
    """
    columns = [column for column in ("enabled", "weight") if column in changes]
    assigned = ", ".join(f"{column} = %s" for column in columns)
    sql = f"UPDATE providers SET {assigned} WHERE name = %s AND config <> '{{}}' RETURNING {_COLUMNS}"
    found = rows(sql, *(changes[column] for column in columns), name)
    return Provider(*found[0]) if found else None


def use(name: str, workers: list[Worker]) -> Use:
    """Return how the live workers use a provider."""
    alive = [worker for worker in workers if worker.alive and name in (worker.provider or "").split(", ")]
    attempts: Counter[str] = Counter()
    for worker in alive:
        for counted, number in worker.counters.items():
            provider, _, outcome = counted.rpartition(" ")
            if provider == name:
                attempts[outcome] += number
    return Use(len(alive), attempts)
