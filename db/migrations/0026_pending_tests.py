"""Find what keys for tests have waiting, which is counted apart from what goes out."""

from db.migrations.indexes import Index

# Its reader: db/backlogs.py.
STEPS = (
    Index("notifications_pending_tests", "notifications", "(client_id, lane) WHERE status = 'pending' AND sandbox"),
)
