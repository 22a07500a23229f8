"""The providers that a client may use. The statements for wake-up messages read the clients that have such a list."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

STEPS = (
    Statement("ALTER TABLE clients ADD COLUMN providers jsonb CHECK (jsonb_typeof(providers) = 'object')"),
    Index("clients_with_providers", "clients", "(id) WHERE providers IS NOT NULL"),
    Statement(
        "COMMENT ON COLUMN clients.providers IS"
        " 'Names of the providers that it may use, by channel. NULL, or a channel that is left out: all.'"
    ),
)
