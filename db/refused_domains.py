"""The breaker of a pair of provider and From domain, shared by all workers: one row, changed by guarded statements.

closed --refused, reported--> open --close--> closed
                              |  ^
                              +--+ take_probe, probe_failed: one mail at a time, with twice the wait after each

Call within `connection()`.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from db import workers
from db.client_view import VIEW
from db.database import rows

KEPT = 86_400  # seconds after the last refusal for which a closed pair is kept
SEVERAL = 2  # domains of recipients
SOON = 3_600  # seconds: bounces further apart do not add up, and a pair that opens again so soon waits twice as long


class Refusal(NamedTuple):
    """A refusal because of the domain. `text`: the words of the provider or the report."""

    provider: str
    domain: str
    text: str


class Waits(NamedTuple):
    """Refusals that open a pair, and the first and longest wait for a probe in seconds."""

    threshold: int
    first: float
    longest: float


class Pair(NamedTuple):
    """State of a pair, in seconds until the next probe, and since it closed (None if it never opened).

    `suspected`: refusals are counted, of either kind. `opened_at`, `reason`: while it is open.
    """

    provider: str
    domain: str
    suspected: bool
    opened_at: datetime | None
    reason: str | None
    probe_in: float
    well_for: float | None


class Sent(NamedTuple):
    """The provider through which a mail went, and its From if the client chose it."""

    provider: str
    sender: str | None


def pairs() -> list[Pair]:
    """Return the pairs that are open, or were not long ago, or have refusals that count."""
    found = rows(
        """
        SELECT provider, domain, refused + reported > 0, opened_at, reason,
               coalesce(extract(epoch FROM probe_after - now())::float8, 0),
               extract(epoch FROM now() - closed_at)::float8
        FROM refused_domains ORDER BY provider, domain
        """
    )
    return [Pair(*row) for row in found]


def open_pairs() -> list[Pair]:
    """Return the pairs that are open."""
    return [one for one in pairs() if one.opened_at is not None]


_REFUSED = """
        INSERT INTO refused_domains AS r (provider, domain, refused) VALUES (%s, %s, 1)
        ON CONFLICT (provider, domain) DO UPDATE SET refused = r.refused + 1, refused_at = now()
        RETURNING refused
        """

# `reported` begins anew after SOON seconds. The second recipient's domain is kept, further ones make no difference.
_REPORTED = """
        INSERT INTO refused_domains AS r (provider, domain, reported, reported_by) VALUES (%s, %s, 1, ARRAY[%s::text])
        ON CONFLICT (provider, domain) DO UPDATE
        SET reported = CASE WHEN r.refused_at > now() - %s * interval '1 second' THEN r.reported ELSE 0 END + 1,
            reported_by = CASE WHEN r.refused_at <= now() - %s * interval '1 second' THEN excluded.reported_by
                               WHEN cardinality(r.reported_by) >= %s OR excluded.reported_by <@ r.reported_by
                               THEN r.reported_by ELSE r.reported_by || excluded.reported_by END,
            refused_at = now()
        RETURNING reported, cardinality(reported_by)
        """

_OPEN = """
        UPDATE refused_domains AS r
        SET opened_at = now(), reason = %s, wait = next.wait, probe_by = NULL,
            probe_after = now() + next.wait * interval '1 second'
        FROM (SELECT provider, domain, CASE WHEN closed_at > now() - %s * interval '1 second'
                                            THEN least(2 * wait, %s) ELSE %s END AS wait FROM refused_domains) AS next
        WHERE r.provider = %s AND r.domain = %s AND r.provider = next.provider AND r.domain = next.domain
              AND r.opened_at IS NULL
        RETURNING r.domain
        """


def refused(refusal: Refusal, waits: Waits) -> bool:
    """closed -> open, with the refusal in the conversation that reaches the threshold. Return whether it opened."""
    [(number,)] = rows(_REFUSED, refusal.provider, refusal.domain)
    return number >= waits.threshold and _open(refusal, waits)


def reported(refusal: Refusal, waits: Waits, recipient_domain: str) -> bool:
    """closed -> open, with the bounce that reaches the threshold. Return whether it opened.

    The bounces must come from SEVERAL domains of recipients: one that bounces everything must not stop the others.
    """
    counted = (refusal.provider, refusal.domain, recipient_domain, SOON, SOON, SEVERAL)
    [(number, domains)] = rows(_REPORTED, *counted)
    return number >= waits.threshold and domains >= SEVERAL and _open(refusal, waits)


def _open(refusal: Refusal, waits: Waits) -> bool:
    return bool(rows(_OPEN, refusal.text, SOON, waits.longest, waits.first, refusal.provider, refusal.domain))


def taken(provider: str, domain: str) -> None:
    """closed -> closed: the provider has taken a mail, so the count of refusals starts again at 0."""
    rows(
        "UPDATE refused_domains SET refused = 0 WHERE provider = %s AND domain = %s AND opened_at IS NULL",
        *(provider, domain),
    )


def delivered(provider: str, domain: str) -> None:
    """closed -> closed: a mail has arrived, so the count of bounces starts again at 0."""
    rows(
        "UPDATE refused_domains SET reported = 0, reported_by = '{}'"
        " WHERE provider = %s AND domain = %s AND opened_at IS NULL",
        *(provider, domain),
    )


def held_back(provider: str, domain: str, reason: str) -> str:
    """Return the last error of a mail that is held back."""
    return f"{provider} refuses mail From {domain}: {reason}"


def holding(last_error: str) -> Pair | None:
    """Return the open pair that holds back a mail with this last error, or None."""
    return next((one for one in open_pairs() if last_error.startswith(held_back(one.provider, one.domain, ""))), None)


def any_reported() -> bool:
    """Return whether bounces count against any pair."""
    return bool(rows("SELECT 1 FROM refused_domains WHERE reported > 0 LIMIT 1"))


def take_probe(provider: str, domain: str, worker: UUID, lease: float, worker_timeout: float) -> bool:
    """open -> open: return whether this worker may send one mail now; of all that ask, one may.

    If the probe has no outcome, another one may follow after `lease` seconds, or as soon as its worker is dead.
    """
    return bool(
        rows(
            f"""
            UPDATE refused_domains SET probe_after = now() + %s * interval '1 second', probe_by = %s
            WHERE provider = %s AND domain = %s AND opened_at IS NOT NULL
                  AND (probe_after <= now() OR (probe_by IS NOT NULL AND {workers.lost("probe_by")}))
            RETURNING domain
            """,
            *(lease, str(worker), provider, domain),
            *(worker_timeout, str(worker), worker_timeout, worker_timeout),
        )
    )


def probe_failed(refusal: Refusal, most: float) -> None:
    """open -> open: double the wait before the next probe, up to `most` seconds."""
    rows(
        """
        UPDATE refused_domains
        SET wait = least(wait * 2, %s), probe_after = now() + least(wait * 2, %s) * interval '1 second',
            probe_by = NULL, reason = %s, refused_at = now()
        WHERE provider = %s AND domain = %s AND opened_at IS NOT NULL
        """,
        *(most, most, refusal.text, refusal.provider, refusal.domain),
    )


def return_probe(provider: str, domain: str) -> None:
    """open -> open: the probe told nothing about the domain, so another one may follow at once."""
    rows(
        "UPDATE refused_domains SET probe_after = now(), probe_by = NULL"
        " WHERE provider = %s AND domain = %s AND opened_at IS NOT NULL",
        *(provider, domain),
    )


def close(provider: str, domain: str) -> bool:
    """open -> closed. Return False if it was closed already."""
    return bool(
        rows(
            """
            UPDATE refused_domains
            SET opened_at = NULL, probe_after = NULL, probe_by = NULL, refused = 0, reported = 0,
                reported_by = '{}', closed_at = now()
            WHERE provider = %s AND domain = %s AND opened_at IS NOT NULL RETURNING domain
            """,
            *(provider, domain),
        )
    )


def forget() -> None:
    """Delete closed pairs whose last refusal is long ago."""
    rows("DELETE FROM refused_domains WHERE opened_at IS NULL AND refused_at < now() - %s * interval '1 second'", KEPT)


def sent_through(notification: int) -> Sent | None:
    """Return how a mail was sent that a report is about, or None if it was not."""
    found = rows(
        f"""
        SELECT a.provider, n.mail ->> 'from' FROM {VIEW} AS n JOIN attempts AS a ON a.notification_id = n.id
        WHERE n.id = %s AND NOT n.sandbox AND a.outcome IN ('sent', 'uncertain', 'lost')
        ORDER BY a.number DESC LIMIT 1
        """,
        notification,
    )
    return Sent(*found[0]) if found else None
