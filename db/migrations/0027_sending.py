"""What each worker may have begun to send, for rescue; and since when the provider has refused a mail for our rate."""

from db.migrations.steps import Statement

STEPS = (
    # A row that is begun as soon as it is claimed says so itself: its claimed_list is below zero. The others stand
    # here before they are begun. Workers of versions before this one number their lists from zero, of which the first
    # two by id may have been begun.
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
