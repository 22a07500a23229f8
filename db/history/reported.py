"""SQL that counts what reports say about notifications, in the statement that records it.

A report counts in the hour in which its notification was sent, so that the counts of an hour tell which share of what
was sent then was reported, delivered or bounced.
"""

from __future__ import annotations

# What is counted beside the ends: notifications with any report, and the delivery statuses that they reached.
REPORTS = ("reported", "delivered", "bounced", "complained")

# For FROM, after `e` with the id of a notification: the provider that took it.
PROVIDER = """LEFT JOIN LATERAL (
                 SELECT provider FROM attempts AS a WHERE a.notification_id = e.id
                 ORDER BY a.outcome = 'sent' DESC, a.report_id IS NOT NULL DESC, a.number DESC LIMIT 1) AS v ON true"""

# For RETURNING (alias n, and v for the provider), before `counting_reports`. Parameter: the domain of the sender of
# mails that name none, by provider, as JSON. Providers that are not in it send no mails.
REPORTED = """n.client_id, n.type, split_part(n.lane, '.', -1) AS priority, countable_tags(n.tags) AS tags, n.template,
                      v.provider, n.finished_at AS at, n.sandbox, n.delivery_status,
                      (SELECT coalesce(lower(substring(n.mail ->> 'from' FROM '@([^@>]+)>?$')), own)
                       FROM (SELECT %s::jsonb ->> v.provider) AS o (own) WHERE own IS NOT NULL) AS domain"""


def counting_reports(reported: str) -> str:
    """Return a part of WITH that counts the rows of another part, which returns REPORTED, and `first`.

    `first`: nothing was reported about the notification before.
    """
    return f"""counted AS (
            INSERT INTO history_new (at, client_id, type, priority, tags, template, provider, domain, outcome, class,
                                     number)
            SELECT at, client_id, type, priority, tags, template, provider, domain, outcome, 0, 1
            FROM {reported} CROSS JOIN LATERAL unnest(
                ARRAY[CASE WHEN first THEN 'reported' END, nullif(delivery_status, 'unconfirmed')]) AS o (outcome)
            WHERE outcome IS NOT NULL AND NOT sandbox
        )"""
