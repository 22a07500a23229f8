"""Indexes for the dashboard's search by template and by failure reason."""

from db.migrations.indexes import Index

# Their reader: db/search.py. Notifications without a template, and those that did not fail, are in neither. As in 0028,
# final notifications only, so that a notification enters an index once and not with each change of its status.
STEPS = (
    Index(
        "notifications_template",
        "notifications",
        "(client_id, template, created_at, id)"
        " WHERE template IS NOT NULL AND finished_at IS NOT NULL AND callback_id IS NULL",
    ),
    Index(
        "notifications_reason",
        "notifications",
        "(client_id, failure_reason, created_at, id) WHERE failure_reason IS NOT NULL AND callback_id IS NULL",
    ),
)
