"""Which providers the notifications of a client may use. Call within `connection()`.

`clients.providers` has the names of a client's providers for each channel; a channel that is left out may use all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from db.database import rows

# By channel, the names of its providers.
Lists = Mapping[str, Sequence[str]]

# For SQL: the ids of the clients that have a list. It is read once a statement; ordered for the index: see SAFELY in
# db/prepared.py.
RESTRICTED = "ARRAY(SELECT id FROM clients WHERE providers IS NOT NULL ORDER BY id)"

# For WITH: the clients that may not use a provider. Parameters: channel, provider, channel.
BARRED = """barred AS MATERIALIZED (
            SELECT id FROM clients
            WHERE providers IS NOT NULL AND NOT coalesce(providers -> %s ? %s, NOT providers ? %s)
        )"""


class Listed(NamedTuple):
    """A client with a list."""

    id: int
    name: str
    providers: Lists


def listed() -> list[Listed]:
    """Return the clients that have a list."""
    return [Listed(*row) for row in rows("SELECT id, name, providers FROM clients WHERE providers IS NOT NULL")]


def of(client_id: int, channel: str) -> Sequence[str] | None:
    """Return the names of the providers that a client may use for a channel, or None if it may use all."""
    found = rows("SELECT providers -> %s FROM clients WHERE id = %s", channel, client_id)
    return found[0][0] if found else None
