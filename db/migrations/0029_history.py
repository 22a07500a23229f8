"""Counts of how notifications ended, by the hour."""

from db.migrations.steps import Statement

# Upper bounds of the classes of seconds from due to sent; db/history/classes.py has the same.
BOUNDS = "0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400, 604800"

STEPS = (
    # Ends that are not in `history` yet. The statement that ends notifications adds a row for those that are alike.
    # `history` has the CHECKs: here PostgreSQL would prepare them anew for each of these statements.
    Statement(
        "CREATE TABLE history_new ("
        " at timestamptz NOT NULL DEFAULT now(),"
        " client_id bigint NOT NULL,"
        " type text NOT NULL,"
        " priority text NOT NULL,"
        " tags jsonb,"
        " template text,"
        # The provider of the last attempt; NULL if the end was none of an attempt.
        " provider text,"
        " outcome text NOT NULL,"
        # The class of the time to delivery; 0 if it was not sent.
        " class smallint NOT NULL,"
        " number bigint NOT NULL"
        # To give pages back, a vacuum would lock the table for a moment, and outcomes would wait.
        ") WITH (vacuum_truncate = off)"
    ),
    Statement(
        "CREATE TABLE history ("
        # 0: all clients together.
        " client_id bigint NOT NULL,"
        " dimension text NOT NULL,"
        " hour timestamptz NOT NULL,"
        # '': what is not counted by a value of its own.
        " value text NOT NULL,"
        " outcome text NOT NULL CHECK (outcome IN ('sent', 'failed', 'cancelled')),"
        " class smallint NOT NULL,"
        " number bigint NOT NULL CHECK (number > 0),"
        " PRIMARY KEY (client_id, dimension, hour, value, outcome, class)"
        ")"
    ),
    # For the deletion of old hours.
    Statement("CREATE INDEX history_hour ON history (hour)"),
    Statement(
        "CREATE FUNCTION delivery_class(due timestamptz, at timestamptz) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$"
        f" SELECT width_bucket(at - due, '{{{BOUNDS}}}'::interval[])::smallint"
        " $$"
    ),
    # A tag with an @ may be an address, and addresses must not be kept here: it becomes ''.
    Statement(
        "CREATE FUNCTION countable_tags(tags jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$"
        " SELECT jsonb_agg(CASE WHEN position('@' IN tag) = 0 THEN tag ELSE '' END)"
        " FROM jsonb_array_elements_text(tags) AS t (tag)"
        " $$"
    ),
    # Counts the end of a notification. Called in RETURNING by the statements that end few at a time.
    Statement(
        "CREATE FUNCTION count_end(ended notifications) RETURNS void LANGUAGE plpgsql VOLATILE AS $$"
        " BEGIN"
        "  IF ended.finished_at IS NOT NULL AND ended.callback_id IS NULL AND NOT ended.sandbox THEN"
        "   INSERT INTO history_new (client_id, type, priority, tags, template, outcome, class, number)"
        "   VALUES (ended.client_id, ended.type, ended.lane, countable_tags(ended.tags), ended.template,"
        "           ended.status, 0, 1);"
        "  END IF;"
        " END"
        " $$"
    ),
)
