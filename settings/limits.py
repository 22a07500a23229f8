"""Settings of the limits of clients."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, choice, number


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings(Group):
    """Read by api.access, and by the workers' count of waiting notifications."""

    rate: int = number("RATE_LIMIT", 0, "notifications a minute", low=0, high=2_147_483_647)
    """The rate of every client that has no `rateLimit` of its own; `0` means no limit."""
    daily_quota: int = number("DAILY_QUOTA", 0, "notifications a day", low=0, high=2_147_483_647)
    """The quota of every client that has no `dailyQuota` of its own; `0` means no limit."""
    daily_bytes: int = number("DAILY_BYTES", 10_737_418_240, "bytes a day", low=0, high=2**53)
    """The total size of the bodies in which a client may send notifications per day (UTC), exact to a megabyte for
    each API process; `0` means no limit."""
    manage_rate: int = number("MANAGE_RATE", 1_000, "requests a minute", low=1, high=2_147_483_647)
    """How many management requests a client may make: every request that is no GET and sends nothing, and every
    export."""
    pending: int = number("PENDING_LIMIT", 1_000_000, "notifications", low=0, high=2_147_483_647)
    """How many notifications of a client that has no `pendingLimit` of its own may wait; `0` means no limit."""
    backlog_interval: float = number("BACKLOG_INTERVAL", 1, "seconds", low=0.1, high=3_600)
    """The time between two counts of waiting notifications; longer if counting takes more than a twentieth of it."""
    fail: str = choice("LIMITS_FAIL", "open", "closed")
    """`open`: while Redis does not answer, rates and quotas are not checked. `closed`: clients that have one
    get 503."""
    timeout: float = number("LIMITS_TIMEOUT", 0.2, "seconds", low=0.01, high=60)
    """How long a POST waits for Redis to check the limits."""
    away: float = number("LIMITS_AWAY", 5, "seconds", low=0.1, high=3_600)
    """After Redis did not answer, no POST waits for it for this long."""
    suppressions: int = number("SUPPRESSIONS_LIMIT", 1_000_000, "addresses", low=1, high=1_000_000_000)
    """How many addresses a client may put on its suppression list; bounces and unsubscriptions are added on top. A
    million addresses take about 300 MB."""
