"""An identity of this database, which gives the keys in Redis their namespace."""

from db.migrations.steps import Statement

STEPS = (
    Statement(
        """
        CREATE TABLE installation (
            single boolean PRIMARY KEY DEFAULT true CHECK (single),
            -- A restored dump has the same one: see docs/redis.md.
            id     uuid NOT NULL DEFAULT gen_random_uuid()
        )
        """
    ),
    Statement("INSERT INTO installation DEFAULT VALUES ON CONFLICT DO NOTHING"),
)
