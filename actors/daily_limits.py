"""Daily limits of providers: make them for a worker process, and keep a copy of their counts in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

import redis

from actors.channels.daily import DailyLimit
from db import providers
from db.database import connection, database
from settings.providers import Provider


def make(
    client: redis.Redis, namespace: Callable[[], str], account: Provider, processes: Callable[[], int]
) -> DailyLimit | None:
    """Return the daily limit of an account, or None if it has none."""
    if account.daily is None:
        return None
    return DailyLimit(client, namespace, account.name, account.daily, lambda: _stored(account.name), processes)


def record(limits: Mapping[str, DailyLimit | None]) -> None:
    """Copy the counts of providers, by name, to the database, and until when their limits are used up.

    Raises:
        redis.RedisError, Unavailable: They are recorded by a later call.
    """
    for provider, daily in limits.items():
        if daily is not None and daily.changed:
            _record(provider, daily)


def _record(provider: str, daily: DailyLimit) -> None:
    daily.changed = False
    try:
        counts = daily.counts()
        with connection():
            providers.record_daily(provider, counts, daily.exhausted_for)
    except Exception:
        daily.changed = True
        raise


def _stored(provider: str) -> dict[str, int]:
    with closing(database), connection():
        return providers.daily_counts(provider)
