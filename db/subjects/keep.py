"""Make the filters of the words of subjects. Called by upkeep, within `connection()`."""

from __future__ import annotations

from collections.abc import Sequence

from db.client_view import VIEW
from db.database import database, rows
from db.session import SCHEMA
from db.subjects.bloom import filter_of
from db.subjects.words import words

# Any constant will do that no other advisory lock of a schema has.
LOCK = 7_021_973
SPAN = 1_000  # ids
# Seconds after which every transaction that has drawn an id is known to PostgreSQL as a writer, or has ended.
SETTLED = 60.0
FORGOTTEN_AT_ONCE = 1_000  # filters


def keep() -> bool:
    """Make the filter of one span; return whether there was one to make. Return False while another process does it.

    A span whose filter was forgotten comes first, then the span after those that have filters, then the one before.
    """
    with database.atomic():
        [(mine,)] = rows(f"SELECT pg_try_advisory_xact_lock({LOCK}, {SCHEMA})")
        if not mine:
            return False
        if (span := _next(_complete())) is None:
            _forget_old()
            return False
        _make(span)
        return True


def forget(ids: Sequence[int]) -> None:
    """Forget the words of the spans of these notifications, because some of their subjects were erased."""
    rows("UPDATE subject_words SET words = NULL WHERE span = ANY(%s)", sorted({id // SPAN for id in ids}))


def _complete() -> int:
    """Return the span below which no transaction can add a notification any more.

    An id is drawn before its row is committed. The last id is noted, and below it everything is committed or never will
    be when all transactions that ran at that time have ended. A number of a transaction that is above all of this
    server comes from the server that a dump was made of.
    """
    [(drawn,)] = rows("SELECT last_value FROM notifications_id_seq")
    rows(
        """
        UPDATE subject_progress
        SET complete_id = drawn_id, drawn_id = %s, drawn_xid = pg_snapshot_xmax(seen), drawn_at = now()
        FROM pg_current_snapshot() AS seen
        WHERE drawn_at < now() - %s * interval '1 second'
              AND (drawn_xid <= pg_snapshot_xmin(seen) OR drawn_xid > pg_snapshot_xmax(seen))
        """,
        *(drawn, SETTLED),
    )
    [(complete,)] = rows("SELECT complete_id FROM subject_progress")
    return int(complete + 1) // SPAN


def _next(complete: int) -> int | None:
    """Return the span whose filter is to be made next, or None. Spans without a notification are left out."""
    if forgotten := rows("SELECT span FROM subject_words WHERE words IS NULL LIMIT 1"):
        return int(forgotten[0][0])
    [(low, high)] = rows("SELECT min(span), max(span) FROM subject_words")
    after = (complete if high is None else high + 1) * SPAN
    [(id,)] = rows(f"SELECT min(id) FROM {VIEW} AS n WHERE id >= %s AND id < %s", after, complete * SPAN)
    if id is None:
        [(id,)] = rows(f"SELECT max(id) FROM {VIEW} AS n WHERE id < %s", (complete if low is None else low) * SPAN)
    return None if id is None else int(id) // SPAN


def _make(span: int) -> None:
    found = rows(
        f"SELECT client_id, string_agg(DISTINCT subject, ' ') FROM {VIEW} AS n WHERE id >= %s AND id < %s GROUP BY 1",
        *(span * SPAN, (span + 1) * SPAN),
    )
    held = [(client, word) for client, subjects in found for word in words(subjects)]
    rows(
        "INSERT INTO subject_words (span, words) VALUES (%s, %s)"
        " ON CONFLICT (span) DO UPDATE SET words = excluded.words",
        *(span, filter_of(held)),
    )


def _forget_old() -> None:
    """Delete the filters of spans whose notifications retention has deleted."""
    rows(
        f"""
        DELETE FROM subject_words WHERE span = ANY(ARRAY(
            SELECT span FROM subject_words WHERE span < (SELECT min(id) / {SPAN} FROM {VIEW} AS n)
            ORDER BY span LIMIT %s))
        """,
        FORGOTTEN_AT_ONCE,
    )
