"""Bloom filters of the words of subjects, for the dashboard's search."""

from db.migrations.steps import Statement

STEPS = (
    # Rows of some kilobytes stay in the table, because a search reads all of them.
    Statement(
        "CREATE TABLE subject_words (span bigint PRIMARY KEY, words bytea) WITH (toast_tuple_target = 8160);"
        # The bits look random, so they cannot be compressed.
        " ALTER TABLE subject_words ALTER COLUMN words SET STORAGE EXTERNAL"
    ),
    # For upkeep: the filters to make again.
    Statement("CREATE INDEX subject_words_forgotten ON subject_words (span) WHERE words IS NULL"),
    Statement(
        "CREATE TABLE subject_progress ("
        " only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),"
        " complete_id bigint NOT NULL DEFAULT 0,"
        " drawn_id bigint NOT NULL DEFAULT 0,"
        " drawn_xid xid8 NOT NULL DEFAULT '0',"
        " drawn_at timestamptz NOT NULL DEFAULT '-infinity'"
        ")"
    ),
    Statement("INSERT INTO subject_progress DEFAULT VALUES"),
    Statement(
        "COMMENT ON COLUMN subject_words.span IS 'Ids of the notifications divided by 1000.';"
        " COMMENT ON COLUMN subject_words.words IS"
        " 'Bloom filter of the client and each word of a subject: see db/subjects/bloom.py. NULL: to be made again.';"
        " COMMENT ON COLUMN subject_progress.only_one IS 'Always true: the table has one row.';"
        " COMMENT ON COLUMN subject_progress.complete_id IS"
        " 'Up to this id, no transaction can add a notification any more.';"
        " COMMENT ON COLUMN subject_progress.drawn_id IS 'Last id that had been drawn at drawn_at.';"
        " COMMENT ON COLUMN subject_progress.drawn_at IS 'Time when drawn_id and drawn_xid were noted.';"
        " COMMENT ON COLUMN subject_progress.drawn_xid IS"
        " 'When all transactions before this one have ended, drawn_id becomes complete_id.'"
    ),
)
