"""A breaker for each pair of a provider and a From domain whose mails it refuses."""

from db.migrations.steps import Statement

PAIRS = """
CREATE TABLE refused_domains (
    provider    text NOT NULL,
    domain      text NOT NULL,
    refused     integer NOT NULL DEFAULT 0 CHECK (refused >= 0),
    reported    integer NOT NULL DEFAULT 0 CHECK (reported >= 0),
    reported_by text[] NOT NULL DEFAULT '{}',
    refused_at  timestamptz NOT NULL DEFAULT now(),
    opened_at   timestamptz,
    reason      text,
    probe_after timestamptz,
    probe_by    uuid,
    wait        double precision,
    closed_at   timestamptz,
    PRIMARY KEY (provider, domain),
    CHECK ((opened_at IS NULL) = (probe_after IS NULL)),
    CHECK (opened_at IS NULL OR (reason IS NOT NULL AND wait IS NOT NULL))
)
"""

STEPS = (
    Statement(PAIRS),
    Statement(
        "COMMENT ON COLUMN refused_domains.domain IS 'Domain of the From of mails.';"
        " COMMENT ON COLUMN refused_domains.refused IS 'Refusals because of the domain since the last mail was taken.';"
        " COMMENT ON COLUMN refused_domains.reported IS"
        " 'Bounces because of the domain since the last reported delivery, or within an hour of each other.';"
        " COMMENT ON COLUMN refused_domains.reported_by IS 'Two domains of the recipients of these at most.';"
        " COMMENT ON COLUMN refused_domains.refused_at IS 'Time of the last refusal or bounce.';"
        " COMMENT ON COLUMN refused_domains.opened_at IS"
        " 'Since when mails from the domain are held back from the provider. NULL: they are not.';"
        " COMMENT ON COLUMN refused_domains.reason IS 'Words of the last refusal before that.';"
        " COMMENT ON COLUMN refused_domains.probe_after IS 'Time from which one mail may test the provider.';"
        " COMMENT ON COLUMN refused_domains.probe_by IS 'Worker that tests it. NULL: none.';"
        " COMMENT ON COLUMN refused_domains.wait IS 'Seconds between two tests.';"
        " COMMENT ON COLUMN refused_domains.closed_at IS"
        " 'Time from which mails are sent again: by degrees, and with a longer wait if they are refused soon.'"
    ),
)
