"""People who answer STOP or START to text messages. Call within `connection()`.

An answer names no notification. It concerns the clients whose messages the provider has taken for this number and
sender. `addresses`: the pairs of number and sender, in the form of `mailboxes` of a notification.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.client_view import VIEW
from db.database import rows

# Parameters: address, provider.
_CONCERNED = f"""SELECT DISTINCT n.client_id FROM {VIEW} AS n
            WHERE n.mailboxes @> jsonb_build_array(%s::text) AND NOT n.sandbox
                  AND EXISTS (SELECT FROM attempts AS a WHERE a.notification_id = n.id AND a.provider = %s)"""


def stop(provider: str, addresses: Sequence[str], source: str) -> int:
    """Put the addresses on the suppression lists of all clients concerned. Return how many lists have them now."""
    return sum(
        len(
            rows(
                f"""
                INSERT INTO suppressions AS s (client_id, address, reason, source)
                SELECT client_id, %s, 'unsubscribed', %s FROM ({_CONCERNED}) AS concerned ORDER BY client_id
                ON CONFLICT (client_id, address) DO UPDATE
                SET reason = excluded.reason, source = excluded.source, created_at = now(), expires_at = NULL
                RETURNING client_id
                """,
                *(address, source, address, provider),
            )
        )
        for address in addresses
    )


def resume(provider: str, addresses: Sequence[str]) -> int:
    """Remove the addresses from the lists of all clients concerned, unless a person has put them there.

    Return how many lists were concerned.
    """
    concerned = 0
    for address in addresses:
        clients = [client for (client,) in rows(_CONCERNED, address, provider)]
        concerned += len(clients)
        rows(
            "DELETE FROM suppressions WHERE client_id = ANY(%s) AND address = %s"
            " AND reason IN ('unsubscribed', 'bounced')",
            *(clients, address),
        )
    return concerned
