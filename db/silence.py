"""Providers that fell silent: they take notifications and report none of them, although they did before.

Call within `connection()`.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from db.database import rows

WINDOW = 86_400.0  # seconds without a report that are a silence
ENOUGH = 20  # notifications sent in this time, of which one at least would have been reported


class Silent(NamedTuple):
    """A provider that fell silent: when its last report came, and how much it took since."""

    last: datetime
    sent: int


def silent(provider: str) -> Silent | None:
    """Return since when a provider is silent; None if it is not, or never reported anything."""
    [(last, quiet)] = rows(
        "SELECT max(received_at), max(received_at) < now() - %s * interval '1 second' FROM reports WHERE source = %s",
        *(WINDOW, provider),
    )
    if not quiet:
        return None
    [(sent,)] = rows(
        "SELECT coalesce(sum(number), 0) FROM history WHERE client_id = 0 AND dimension = 'provider' AND value = %s"
        " AND outcome = 'sent' AND hour >= now() - %s * interval '1 second'",
        *(provider, WINDOW),
    )
    return Silent(last, int(sent)) if sent >= ENOUGH else None
