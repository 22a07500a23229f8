"""Settings of how API processes share PostgreSQL among requests."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings(Group):
    """Read by api.store and by the resources that list and retry notifications."""

    accept_batch: int = number("ACCEPT_BATCH", 200, "notifications", low=1, high=10_000)
    """How many notifications the API stores with one statement."""
    accept_waiting: int = number("ACCEPT_WAITING", 10_000, "requests", low=1, high=1_000_000)
    """How many POSTs may wait for the database in one API process; more get 503. Clients take turns, and no client
    gets all places."""
    idempotency_ttl: float = number("IDEMPOTENCY_TTL", 86_400, "seconds", low=86_400, high=31_536_000)
    """How long an Idempotency-Key is kept at least."""
    read_threads: int = number("READ_THREADS", 4, "threads", low=1, high=64)
    """How many GETs an API process answers at the same time; each thread keeps one database connection."""
    read_waiting: int = number("READ_WAITING", 1_000, "requests", low=1, high=100_000)
    """How many GETs may wait in one API process; more get 503. Clients take turns, and no client gets all threads."""
    retry_limit: int = number("RETRY_LIMIT", 1_000, "notifications", low=1, high=10_000)
    """How many notifications one step of a bulk retry takes."""
