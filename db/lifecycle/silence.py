"""Transitions of a provider: its reports stop, or come again. Each is told to the endpoints that asked for it.

              fell_silent
    heard  ----------------->  silent
           <-----------------
             is_heard; forget_silences (without a callback)

The statement that changes the provider also writes the callbacks, so that of several workers one tells, and once.
"""

from __future__ import annotations

from db.database import rows
from db.silence import Judged

KEPT = 14 * 86_400  # seconds of silence after which no report is usual

# Parameters: event, event, the counts of `Judged`, event. The provider is the row of the part `changed`.
_ENQUEUE = """
            INSERT INTO notifications (type, lane, client_id, recipient, subject, message, callback_id, subject_id,
                                       rung)
            SELECT 'callback', 'callback', c.client_id, 'callback/' || c.id, %s,
                   json_build_object(
                       'type', %s::text, 'timestamp', rfc3339(now()),
                       'data', json_build_object(
                           'provider', changed.name, 'silentSince', rfc3339(changed.since), 'hours', %s::int,
                           'sent', %s::bigint, 'reported', %s::bigint, 'usualShare', changed.usual))::text,
                   c.id, 0, false
            FROM callbacks AS c, changed WHERE c.disabled_at IS NULL AND %s = ANY (c.events) ORDER BY c.id
            """

_FELL_SILENT = f"""
        WITH changed AS (
            UPDATE providers SET silent_since = now(), usual_share = %s WHERE name = %s AND silent_since IS NULL
            RETURNING name, silent_since AS since, usual_share AS usual
        ), told AS ({_ENQUEUE})
        SELECT 1 FROM changed
        """

_IS_HEARD = f"""
        WITH silent AS MATERIALIZED (
            SELECT name, silent_since AS since, usual_share AS usual FROM providers
            WHERE name = %s AND silent_since IS NOT NULL FOR UPDATE
        ), changed AS (
            UPDATE providers AS p SET silent_since = NULL, usual_share = NULL
            FROM silent WHERE p.name = silent.name AND p.silent_since IS NOT NULL
            RETURNING silent.*
        ), told AS ({_ENQUEUE})
        SELECT 1 FROM changed
        """


def fell_silent(provider: str, judged: Judged) -> bool:
    """heard -> silent. Return False if it was silent already."""
    return bool(rows(_FELL_SILENT, judged.usual, provider, *_told("provider.silent", judged)))


def is_heard(provider: str, judged: Judged) -> bool:
    """silent -> heard. Return False if it was not silent."""
    return bool(rows(_IS_HEARD, provider, *_told("provider.heard", judged)))


def forget_silences() -> list[str]:
    """silent -> heard, after KEPT seconds: whoever has stopped the reports on purpose is not reminded for ever.

    Return the providers that were changed.
    """
    found = rows(
        "UPDATE providers SET silent_since = NULL, usual_share = NULL"
        " WHERE silent_since < now() - %s * interval '1 second' RETURNING name",
        KEPT,
    )
    return [name for (name,) in found]


def _told(event: str, judged: Judged) -> tuple[object, ...]:
    return (event, event, judged.hours, judged.sent, judged.reported, event)
