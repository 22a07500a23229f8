"""Further channels: the column `lane` names a queue, which is `high`, `normal`, `bulk` or for others `sms.high`."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

STEPS = (
    Statement(
        "ALTER TABLE notifications DROP CONSTRAINT IF EXISTS notifications_lane_check,"
        " ADD CONSTRAINT notifications_lane_check"
        " CHECK (lane ~ '^([a-z][a-z0-9-]{0,30}\\.)?(high|normal|bulk)$' OR lane = 'callback') NOT VALID"
    ),
    Statement("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_lane_check"),
    # For the list of one priority, of all channels. 0038 drops the one of 0012.
    Index(
        "notifications_of_priority",
        "notifications",
        "(client_id, split_part(lane, '.', -1), created_at, id) WHERE split_part(lane, '.', -1) IN ('high', 'bulk')",
    ),
    # As in 0029, but for the priority.
    Statement(
        "CREATE OR REPLACE FUNCTION count_end(ended notifications) RETURNS void LANGUAGE plpgsql VOLATILE AS $$"
        " BEGIN"
        "  IF ended.finished_at IS NOT NULL AND ended.callback_id IS NULL AND NOT ended.sandbox THEN"
        "   INSERT INTO history_new (client_id, type, priority, tags, template, outcome, class, number)"
        "   VALUES (ended.client_id, ended.type, split_part(ended.lane, '.', -1), countable_tags(ended.tags),"
        "           ended.template, ended.status, 0, 1);"
        "  END IF;"
        " END"
        " $$"
    ),
    Statement(
        "COMMENT ON COLUMN notifications.lane IS"
        " 'Queue: its priority, or for channels other than email the type and the priority, such as sms.high.';"
        " COMMENT ON COLUMN notifications.mail IS 'Options that only its channel has.'"
    ),
)
