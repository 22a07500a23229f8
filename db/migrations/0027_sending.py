"""Record what each worker may have begun to send, for rescue; and since when a provider has throttled a mail."""

from db.migrations.steps import Statement

STEPS = (
    # A row that may be begun as soon as it is claimed has a claimed_list below zero. A worker records the ids of other
    # rows here before it begins them. Workers of older versions number their lists from zero; the first two ids of a
    # list may have been begun.
    Statement(
        "CREATE TABLE sending ("
        " worker uuid PRIMARY KEY,"
        " ids bigint[] NOT NULL,"
        " at timestamptz NOT NULL DEFAULT now()"
        ") WITH (fillfactor = 20)"
    ),
    # NULL once it is sent, failed, or refused for another reason. Refusals since then cost no attempt.
    Statement("ALTER TABLE notifications ADD COLUMN throttled_since timestamptz"),
)
