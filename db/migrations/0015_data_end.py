"""Erasure by recipient, suppressions without their addresses, and the audit log."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

TABLES = """
CREATE TABLE erasures (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id  bigint NOT NULL,
    -- As audit marks an address: whoever knows the address finds it by this, nobody reads it back at a glance.
    recipient  text NOT NULL,
    -- As the suppression list has it; only until the erasure is done.
    address    text,
    -- What was accepted later is not its business.
    last_id    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- From then on nothing more of it is begun.
    stopped_at timestamptz,
    done_at    timestamptz,
    -- Whoever works at it keeps the others from it until then.
    due_at     timestamptz NOT NULL DEFAULT now(),
    cancelled  bigint NOT NULL DEFAULT 0,
    erased     bigint NOT NULL DEFAULT 0,
    copies     bigint NOT NULL DEFAULT 0,
    callbacks  bigint NOT NULL DEFAULT 0,
    -- Callbacks and mails to others that were being sent: what their servers answer is still to be removed.
    rest       bigint[] NOT NULL DEFAULT '{}',
    -- The idempotency key that was looked at last; null: all were.
    keys_after text DEFAULT '',
    CHECK ((done_at IS NULL) = (address IS NOT NULL)),
    CHECK (done_at IS NULL OR stopped_at IS NOT NULL)
);
-- One at a time for each address; and for upkeep: what is to go on. Nearly always empty.
CREATE UNIQUE INDEX erasures_unfinished ON erasures (client_id, address) WHERE done_at IS NULL;
CREATE INDEX erasures_due ON erasures (due_at) WHERE done_at IS NULL;

-- Of an address that was erased the list keeps its digest: see db/suppressions.py. The addresses of a mail with copies,
-- each as it is and as its digest: a function, since a query here would turn the planner from the primary key.
CREATE FUNCTION also_erased(client_id bigint, mailboxes jsonb) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(address)
           || array_agg('sha256:' || encode(sha256(convert_to(client_id::text || ':' || address, 'UTF8')), 'hex'))
    FROM jsonb_array_elements_text(mailboxes) AS address
$$;
ALTER TABLE suppressions ADD COLUMN erased boolean NOT NULL DEFAULT false;
-- What operators and programs did that is not about one notification: that stands in events.
CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    act        text NOT NULL CHECK (act <> ''),
    outcome    text NOT NULL CHECK (outcome IN ('done', 'begun')),
    -- Whom it concerns; null: all.
    client_id  bigint,
    target     text,
    -- Never content, a secret, or an address in clear.
    detail     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object'),
    actor      text NOT NULL CHECK (actor IN ('key', 'cli', 'worker', 'anybody')),
    key_id     bigint,
    -- The user of the system whom the command line ran as, or the worker's host.
    name       text,
    address    text,
    request_id text,
    CHECK ((actor = 'key') = (key_id IS NOT NULL))
);
-- For what concerns one client, newest first.
CREATE INDEX audit_client ON audit (client_id, id);

-- Rows are only added. Retention says for how many seconds they are kept, and takes what is older.
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - nullif(current_setting('notify.audit_kept', true), '')::float8 * interval '1 second' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit is append-only: %% is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit();
CREATE TRIGGER keep_all_audit BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();
"""

STEPS = (
    # The time when the content was erased; the row keeps times, counts and status. An erased notification is never
    # sent again.
    Statement(
        "ALTER TABLE notifications ADD COLUMN erased_at timestamptz, ADD CONSTRAINT notifications_erased"
        " CHECK (erased_at IS NULL OR status IN ('sent', 'failed', 'cancelled')) NOT VALID"
    ),
    Statement("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_erased"),
    # For an erasure: rows whose recipient is not written in its normalised form, or that have copies; few.
    Index(
        "notifications_mailboxes",
        "notifications",
        "USING gin (mailboxes jsonb_path_ops) WHERE mailboxes IS NOT NULL",
    ),
    # For an erasure: the callbacks about a notification.
    Index("notifications_subject", "notifications", "(subject_id) WHERE subject_id IS NOT NULL"),
    Statement(TABLES),
    # For accept and claim, which ask once in a statement whether there is any erased entry.
    Index("suppressions_erased", "suppressions", "(client_id) WHERE erased"),
)
