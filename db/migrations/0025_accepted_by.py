"""The key with which a notification was posted."""

from db.migrations.steps import Statement

# NULL if AUTH was off, and for notifications that older programs accepted. No foreign key: keys are never deleted.
STEPS = (Statement("ALTER TABLE notifications ADD COLUMN key_id bigint"),)
