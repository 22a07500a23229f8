"""Insert old finished notifications with their attempts, as the system itself would have stored them."""

from __future__ import annotations

from benchmarks.stack import Stack

AT_ONCE = 500_000  # rows per statement
# One in a hundred was refused. There is one per second, and the last one is from yesterday.
NOTIFICATIONS = """
INSERT INTO notifications (type, recipient, subject, message, status, attempt_count, claim, created_at, finished_at,
                           failure_reason, last_error, next_attempt_at, dispatch_after)
SELECT 'email', 'old' || n || '@example.com', 'Notification', 'Hello',
       CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END, 1, 1, at, at + interval '1 second',
       CASE WHEN n % 100 = 0 THEN 'rejected' END, CASE WHEN n % 100 = 0 THEN '5.1.1 no such user' END, NULL, NULL
FROM generate_series({first}, {last}) AS n,
     LATERAL (SELECT now() - interval '1 day' - ({total} - n) * interval '1 second') AS t (at)
"""
ATTEMPTS = """
INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at,
                      phase, reply_code, text)
SELECT id, 1, CASE WHEN status = 'sent' THEN 'sent' ELSE 'refused' END, '00000000-0000-4000-8000-000000000000',
       '127.0.0.1:25', created_at, finished_at, 'content', CASE WHEN status = 'sent' THEN 250 ELSE 550 END,
       coalesce(last_error, 'OK')
FROM notifications WHERE recipient LIKE 'old%' AND id > {above}
"""


def insert(stack: Stack, database: str, count: int) -> None:
    """Insert `count` rows, then run what autovacuum would have done over time."""
    above = 0
    for first in range(1, count + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, count)
        stack.execute(database, NOTIFICATIONS.format(first=first, last=last, total=count))
        stack.execute(database, ATTEMPTS.format(above=above))
        [(highest,)] = stack.execute(database, "SELECT max(id) FROM notifications")
        above = int(str(highest))
    stack.execute(database, "VACUUM (FREEZE, ANALYZE) notifications, attempts")
    stack.checkpoint()
