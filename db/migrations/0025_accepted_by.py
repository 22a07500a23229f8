"""The key with which a notification was posted."""

from db.migrations.steps import Statement

# NULL where AUTH was off, and for what older programs accept. No foreign key: keys are never deleted.
STEPS = (Statement("ALTER TABLE notifications ADD COLUMN key_id bigint"),)
