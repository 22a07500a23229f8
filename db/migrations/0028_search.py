"""An index for the dashboard's search by the domain of a recipient."""

from db.migrations.indexes import Index

# Its reader: db/search.py. It has final notifications only, so that a notification enters it once and not with each
# change of its status. COLLATE "C" lowers ASCII letters alone, which no update of a locale changes.
STEPS = (
    Index(
        "notifications_domain",
        "notifications",
        "(client_id, lower(split_part(recipient, '@', -1) COLLATE \"C\"), created_at, id)"
        " WHERE finished_at IS NOT NULL AND callback_id IS NULL",
    ),
)
