"""SQL that counts the ends of notifications, in the statement that ends them."""

from __future__ import annotations

# For RETURNING of a statement that ends few notifications (alias n), such as a cancellation. Migration 0029 has the
# function.
COUNT_END = "count_end(n)"

# For RETURNING (alias n, and v for the settlement), before `counting`.
ENDED = """n.client_id, n.type, split_part(n.lane, '.', -1) AS priority, n.template, v.provider, n.status,
                      CASE WHEN position('@' IN n.tags::text) > 0 THEN countable_tags(n.tags) ELSE n.tags END AS tags,
                      n.sandbox OR n.callback_id IS NOT NULL AS uncounted,
                      CASE WHEN n.status = 'sent'
                           THEN delivery_class(greatest(n.created_at, n.send_at), n.finished_at) ELSE 0 END AS class"""


def counting(ended: str) -> str:
    """Return a part of WITH that counts the rows of another part, which returns ENDED: one row for all that are alike.

    For statements that end many notifications, where a call of COUNT_END for each would cost too much.
    """
    return f"""counted AS (
            INSERT INTO history_new (client_id, type, priority, tags, template, provider, outcome, class, number)
            SELECT client_id, type, priority, tags, template, provider, status, class, count(*) FROM {ended}
            WHERE status <> 'pending' AND NOT uncounted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        )"""
