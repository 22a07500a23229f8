"""Several providers: which one holds a notification, which one may have taken it, and what operators changed."""

from db.migrations.steps import Statement

STEPS = (
    Statement(
        "ALTER TABLE notifications"
        # The provider for which it is claimed; only kept while it is `processing`, and only if there are several.
        " ADD COLUMN claimed_provider text,"
        # The provider that may have taken it in an attempt without an answer: it is not sent through another one.
        " ADD COLUMN bound_provider text,"
        # always: it may be sent through another provider although the first may have taken it.
        " ADD COLUMN failover text NOT NULL DEFAULT 'safe' CHECK (failover IN ('safe', 'always'))"
    ),
    Statement(
        "ALTER TABLE providers"
        # False: operators have switched it off, and nothing is sent through it.
        " ADD COLUMN enabled boolean NOT NULL DEFAULT true,"
        # The weight that operators have set instead of that of its URL.
        " ADD COLUMN weight integer CHECK (weight BETWEEN 1 AND 1000),"
        # Priority, weight, connections and rate of its URL, as the workers report them.
        " ADD COLUMN config jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(config) = 'object')"
    ),
    Statement(
        "COMMENT ON COLUMN notifications.claimed_provider IS"
        " 'Provider for which it is claimed, if there are several. NULL: it is not claimed.';"
        " COMMENT ON COLUMN notifications.bound_provider IS"
        " 'Provider that may have taken it in an attempt without an answer. No other one may send it.';"
        " COMMENT ON COLUMN notifications.failover IS"
        " 'Whether another provider may send it although the first may have taken it: safe or always.';"
        " COMMENT ON COLUMN providers.enabled IS 'False: operators have switched it off.';"
        " COMMENT ON COLUMN providers.weight IS 'Weight set by operators. NULL: that of its URL.';"
        " COMMENT ON COLUMN providers.config IS"
        " 'Priority, weight, connections and rate of its URL, as workers report them.'"
    ),
)
