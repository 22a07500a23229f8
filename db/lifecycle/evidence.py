"""Apply reports to notifications: raise the delivery status, and settle unknown outcomes.

    sent < delayed < delivered < bounced < complained

A report never moves a notification down this ladder, so reports may come in any order and any number of times.
Evidence about a notification that is not sent yet waits until it is. Call within `connection()`. Each function is safe
to repeat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from db.client_view import GUARD
from db.database import database, rows
from db.history.ends import ENDED, counting
from db.history.reported import PROVIDER, REPORTED, counting_reports
from db.lifecycle.clauses import UNCLAIMED, returned_ids
from db.telling import ENQUEUE_CALLBACKS, append_event, enqueue_delivery_callbacks

MOST = 100  # events of one notification that are kept
WAITS = 7 * 86_400  # seconds that evidence waits for its notification to be sent
# Soft bounces of different notifications within SOFT_WITHIN, without a delivery since, that suppress an address.
SOFT, SOFT_WITHIN = 5, 14 * 86_400

_STATUS = {"delayed": "unconfirmed", "delivered": "delivered", "bounced": "bounced", "complained": "complained"}
KINDS = frozenset({*_STATUS, "taken", "unsubscribed"})
_RANK = "coalesce(array_position(ARRAY['unconfirmed', 'delivered', 'bounced', 'complained'], {}), 0)"
# For WHERE (alias n): an attempt had no answer, and the notification is pending or failed because of that.
_UNKNOWN = """(n.status = 'pending' OR n.failure_reason IN ('outcome-unknown', 'exhausted'))
              AND EXISTS (SELECT FROM attempts AS a WHERE a.notification_id = n.id
                          AND a.outcome IN ('uncertain', 'lost') ORDER BY a.number)"""


class Evidence(NamedTuple):
    """Statement of a report about one recipient of a notification.

    `about_copy`: it is about a recipient of a copy. `recipient`: the normalised address, None if it is not known.
    """

    notification_id: int
    report_id: int
    source: str
    kind: str
    about_copy: bool
    recipient: str | None
    bounce_class: str | None
    code: str | None
    text: str
    at: datetime | None
    event_id: str | None

    @property
    def digest(self) -> bytes:
        """Digest by which a repeated report is recognised."""
        told = (self.kind, self.recipient, self.bounce_class, self.code, self.event_id)
        return hashlib.sha256(repr(told).encode()).digest()


class Waiting(NamedTuple):
    """The key of a row of evidence that can be applied now."""

    notification_id: int
    digest: bytes


_RECORD = f"""
        INSERT INTO evidence (notification_id, digest, client_id, report_id, source, kind, about_copy, recipient,
                              bounce_class, code, text, happened_at)
        SELECT n.id, %s, n.client_id, %s, %s, %s, %s, %s, %s, %s, %s, %s
        FROM notifications AS n
        WHERE n.id = %s AND {GUARD} AND n.erased_at IS NULL
              AND (SELECT count(*) FROM evidence AS e WHERE e.notification_id = n.id) < %s
        ON CONFLICT DO NOTHING
        RETURNING digest
        """

# The last attempt without an answer. Parameters: notification, source of the report.
_UNANSWERED = """FROM attempts WHERE notification_id = %s AND outcome IN ('uncertain', 'lost')
            ORDER BY provider = %s DESC, number DESC LIMIT 1"""

_PROVE = f"""
        WITH proved AS (
            UPDATE notifications AS n
            SET status = 'sent', finished_at = now(), failure_reason = NULL, next_attempt_at = NULL,
                dispatch_after = NULL, parked = false, throttled_since = NULL, evidence_until = NULL, {UNCLAIMED}
            FROM (SELECT provider {_UNANSWERED}) AS v
            WHERE n.id = %s AND {GUARD} AND {_UNKNOWN}
            RETURNING n.id, {ENDED}, {ENQUEUE_CALLBACKS}, {append_event("'sent'")}
        ), {counting("proved")}
        SELECT id FROM proved
        """

_NAME_PROOF = f"""
        UPDATE attempts SET report_id = %s WHERE notification_id = %s AND number = (SELECT number {_UNANSWERED})
        """

# The row is locked first, so that of two reports at once only one is the first.
_CLIMB = f"""
        WITH before AS MATERIALIZED (
            SELECT delivery_status IS NULL AS first FROM notifications WHERE id = %s FOR UPDATE
        ), climbed AS (
            UPDATE notifications AS n SET delivery_status = e.status
            FROM before, (SELECT %s::bigint AS id, %s::text AS status, %s::text AS kind, %s::timestamptz AS at,
                                 %s::json AS proof) AS e {PROVIDER}
            WHERE n.id = e.id AND n.status = 'sent' AND {GUARD}
                  AND {_RANK.format("n.delivery_status")} < {_RANK.format("e.status")}
            RETURNING first, {REPORTED},
                      {enqueue_delivery_callbacks("e.kind", "e.at", "e.proof")}, {append_event("e.kind")}
        ), {counting_reports("climbed")}
        SELECT 1 FROM climbed
        """

_SUPPRESS = """
        INSERT INTO suppressions AS s (client_id, address, reason, source)
        SELECT n.client_id, %s, %s, %s FROM notifications AS n WHERE n.id = %s AND NOT n.sandbox
        ON CONFLICT (client_id, address) DO UPDATE
        SET reason = excluded.reason, source = excluded.source, created_at = now(), expires_at = NULL
        WHERE s.expires_at IS NOT NULL AND (s.expires_at <= now() OR excluded.reason <> 'bounced')
        """

_SOFT = """
        SELECT count(DISTINCT e.notification_id) FROM evidence AS e
        WHERE e.client_id = (SELECT client_id FROM evidence WHERE notification_id = %s AND digest = %s)
              AND e.recipient = %s AND e.bounce_class = 'soft' AND e.received_at > greatest(
                  now() - %s * interval '1 second',
                  (SELECT max(d.received_at) FROM evidence AS d
                   WHERE d.client_id = e.client_id AND d.recipient = e.recipient AND d.kind = 'delivered'))
        """

_READY = f"""
        SELECT e.notification_id, e.digest FROM evidence AS e JOIN notifications AS n ON n.id = e.notification_id
        WHERE e.state = 'waiting' AND (n.status = 'sent' OR ({_UNKNOWN})) ORDER BY e.received_at LIMIT %s
        """


def record(said: Evidence) -> bool:
    """Keep what a report says. Return False if it is known already, or there is no such notification."""
    return bool(
        rows(
            _RECORD,
            *(said.digest, said.report_id, said.source, said.kind, said.about_copy, said.recipient),
            *(said.bounce_class, said.code, said.text, said.at),
            *(said.notification_id, MOST),
        )
    )


def is_of(said: Evidence) -> bool:
    """Return whether it is kept as what this very report says, so that an erasure finds the report."""
    own = "SELECT 1 FROM evidence WHERE notification_id = %s AND digest = %s AND report_id = %s"
    return bool(rows(own, said.notification_id, said.digest, said.report_id))


def ready(most: int) -> list[Waiting]:
    """Return up to `most` rows of evidence that wait for nothing any more, oldest first."""
    return [Waiting(id, bytes(digest)) for id, digest in rows(_READY, most)]


def give_up() -> int:
    """Let evidence wait no longer than WAITS. Return how many rows waited in vain."""
    waited = "state = 'waiting' AND received_at < now() - %s * interval '1 second'"
    return len(rows(f"UPDATE evidence SET state = 'moot' WHERE {waited} RETURNING digest", WAITS))


def apply(waiting: Waiting, own_domains: Mapping[str, str] = MappingProxyType({})) -> bool:
    """sent -> sent, higher on the ladder; pending, failed -> sent, if an attempt without an answer is proved.

    Return False if the notification is not sent and nothing is proved: the evidence waits on. `own_domains`: the domain
    of the sender of mails that name none, by provider.
    """
    with database.atomic():
        # The row is locked, so that two workers never apply it at once.
        found = rows(
            "SELECT notification_id, report_id, source, kind, about_copy, recipient, bounce_class, code, text,"
            " coalesce(happened_at, received_at), NULL FROM evidence"
            " WHERE notification_id = %s AND digest = %s AND state = 'waiting' FOR UPDATE",
            *waiting,
        )
        if not found:
            return True
        said = Evidence(*found[0])
        if not _prove(said):
            return False
        if said.kind in _STATUS and not said.about_copy:
            _climb(said, own_domains)
        if (reason := _suppressed_for(said, waiting)) is not None and said.recipient is not None:
            source = f"report {said.report_id}, notification {said.notification_id}: {said.text}"
            rows(_SUPPRESS, said.recipient, reason, source[:500], said.notification_id)
        rows(
            "UPDATE evidence SET state = 'applied', applied_at = now() WHERE notification_id = %s AND digest = %s",
            *waiting,
        )
        return True


def _prove(said: Evidence) -> bool:
    """pending, failed -> sent, if one of its attempts had no answer. Return whether the notification is sent now."""
    unanswered = (said.notification_id, said.source)
    if returned_ids(_PROVE, *unanswered, said.notification_id):
        rows(_NAME_PROOF, said.report_id, said.notification_id, *unanswered)
        return True
    return bool(rows("SELECT 1 FROM notifications WHERE id = %s AND status = 'sent'", said.notification_id))


def _climb(said: Evidence, own_domains: Mapping[str, str]) -> None:
    proof = (
        "SELECT json_build_object('kind', %s::text, 'class', %s::text, 'code', %s::text, 'text', %s::text,"
        " 'recipient', %s::text, 'source', %s::text, 'at', rfc3339(%s))::text"
    )
    told = (said.kind, said.bounce_class, said.code, said.text, said.recipient, said.source, said.at)
    [(text,)] = rows(proof, *told)
    step = (said.notification_id, _STATUS[said.kind], said.kind, said.at, text)
    rows(_CLIMB, said.notification_id, *step, json.dumps(dict(own_domains)))


def _suppressed_for(said: Evidence, waiting: Waiting) -> str | None:
    """Return why the recipient is suppressed, or None."""
    if said.kind in ("complained", "unsubscribed"):
        return said.kind
    if said.bounce_class == "hard":
        return "bounced"
    if said.bounce_class == "soft":
        [(count,)] = rows(_SOFT, *waiting, said.recipient, SOFT_WITHIN)
        return "bounced" if count >= SOFT else None
    return None
