"""Environment variables that were settings of an earlier version. They have no effect; `notify doctor` reports them."""

REMOVED = frozenset(
    {
        *("CLAIM_BATCH", "SETTLE_BATCH", "RESCUE_BATCH", "EXPIRE_BATCH", "WORKERS_KEPT"),
        *("QUEUE_PREFETCH", "PAUSE_PARK", "PROBE_AMONG", "PROBE_LEASE", "SMTP_QUIT_TIMEOUT"),
        *("LONG_POLL_INTERVAL", "TEMPLATE_CACHE", "RETENTION_PATIENCE", "NESTING_LIMIT"),
        *("MAILBOX_LIMIT", "HEADERS_LIMIT", "HEADER_LIMIT", "FILENAME_LIMIT"),
    }
)
