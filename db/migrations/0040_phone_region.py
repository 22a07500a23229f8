"""The region of phone numbers that a client writes without a country code."""

from db.migrations.steps import Statement

STEPS = (
    Statement("ALTER TABLE clients ADD COLUMN phone_region text CHECK (phone_region ~ '^[A-Z]{2}$')"),
    Statement(
        "COMMENT ON COLUMN clients.phone_region IS"
        " 'Country (ISO 3166-1) of phone numbers without a country code. NULL: these are refused.'"
    ),
)
