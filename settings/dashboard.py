"""Settings of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number, text


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings(Group):
    """Read by api.dashboard."""

    caught_mail: str = text("CAUGHT_MAIL", "directory")
    """The directory of caught mails that the dashboard shows as the inbox; `notify up` sets it."""
    live_interval: float = number("LIVE_INTERVAL", 2, "seconds", low=0.1, high=60)
    """How often each API process refreshes the dashboard's overview while somebody looks at it."""
