"""An index of pending notifications with test keys, which are counted separately."""

from db.migrations.indexes import Index

# Its reader: db/backlogs.py.
STEPS = (
    Index("notifications_pending_tests", "notifications", "(client_id, lane) WHERE status = 'pending' AND sandbox"),
)
