"""Drop the index that 0037 has replaced."""

from db.migrations.steps import Statement

STEPS = (Statement("DROP INDEX IF EXISTS notifications_priority"),)
