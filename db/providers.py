"""The providers as workers report them, and what operators have changed. Call within `connection()`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from db.database import rows
from db.live_stats import Worker


class Provider(NamedTuple):
    """A provider. `config`: priority, weight, connections and rate of its URL. `weight`: set by operators, or None.

    `opened_at`, `reason`: since when and why its breaker is open; None while it works.
    """

    name: str
    enabled: bool
    weight: int | None
    config: Mapping[str, Any]
    opened_at: datetime | None
    reason: str | None


class Use(NamedTuple):
    """Use of a provider by the live workers since each has started: attempts by outcome."""

    workers: int
    attempts: Mapping[str, int]

    @property
    def success(self) -> float | None:
        """The part of the attempts that the provider took, from 0 to 1; None if there was no attempt."""
        made = sum(self.attempts.values())
        return self.attempts.get("sent", 0) / made if made else None


_COLUMNS = "name, enabled, weight, config, opened_at, reason"


def report(name: str, config: Mapping[str, Any]) -> None:
    """Record what the URL of a provider says, when a worker starts."""
    rows(
        """
        INSERT INTO providers AS p (name, config) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET config = excluded.config WHERE p.config <> excluded.config
        """,
        name,
        json.dumps(dict(config)),
    )


def reported() -> list[Provider]:
    """Return the providers that a worker has ever reported, by name."""
    return [Provider(*row) for row in rows(f"SELECT {_COLUMNS} FROM providers WHERE config <> '{{}}' ORDER BY name")]


def switch(name: str, enabled: bool) -> Provider | None:
    """Switch a provider on or off; return None if it is unknown. Its breaker stays as it is."""
    return _changed("enabled = %s", enabled, name)


def weigh(name: str, weight: int | None) -> Provider | None:
    """Set the weight of a provider, or None for that of its URL; return None if it is unknown."""
    return _changed("weight = %s", weight, name)


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


def _changed(change: str, value: object, name: str) -> Provider | None:
    found = rows(
        f"UPDATE providers SET {change} WHERE name = %s AND config <> '{{}}' RETURNING {_COLUMNS}", value, name
    )
    return Provider(*found[0]) if found else None
