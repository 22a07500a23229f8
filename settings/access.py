"""Settings of keys and of logins to the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings(Group):
    """Read by api.access and by the dashboard's login."""

    key_cache: float = number("KEY_CACHE", 0.5, "seconds", low=0, high=1)
    """How long an API process remembers a key, or that a key does not exist. At most 1, so a revoked key stops working
    within a second."""
    session_ttl: float = number("SESSION_TTL", 43_200, "seconds", low=60, high=2_592_000)
    """How long a login to the dashboard lasts. It ends with its key, too."""
    login_rate: int = number("LOGIN_RATE", 30, "logins a minute", low=1, high=100_000)
    """How many times one IP address may try to log in to the dashboard."""
