"""Lists of the providers that the notifications of a client may use. Call within `connection()`.

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


def restricted(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return those of these pending notifications whose client has a list, each with its client."""
    sql = "SELECT id, client_id FROM notifications WHERE id = ANY(%s) AND status = 'pending'"
    return rows(f"{sql} AND client_id = ANY({RESTRICTED}) ORDER BY id", list(ids))
