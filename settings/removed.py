"""Environment variables that were settings of an earlier version. They have no effect; `notify doctor` reports them."""

REMOVED = frozenset(
    {
        *("CLAIM_BATCH", "SETTLE_BATCH", "RESCUE_BATCH", "EXPIRE_BATCH", "WORKERS_KEPT"),
        *("QUEUE_PREFETCH", "PAUSE_PARK", "PROBE_AMONG", "PROBE_LEASE", "SMTP_QUIT_TIMEOUT"),
        *("LONG_POLL_INTERVAL", "TEMPLATE_CACHE", "RETENTION_PATIENCE", "NESTING_LIMIT"),
        *("TAGS_LIMIT", "TAG_LIMIT", "METADATA_LIMIT", "METADATA_KEY_LIMIT", "METADATA_VALUE_LIMIT"),
        *("KEY_CACHE_SIZE", "KEY_WAITING", "RING_WAITING", "RENDER_WAITING"),
        *("DB_LATENESS", "TRACING_FLUSH", "RETENTION_LOCK_TIMEOUT", "COALESCE_REST"),
        *("MAILBOX_LIMIT", "HEADERS_LIMIT", "HEADER_LIMIT", "FILENAME_LIMIT"),
        *(
            "KEY_OVERLAP",
            "CALLBACK_OVERLAP",
            "ERASURE_WAIT",
            "REDIS_WAIT",
            "RECORD_RETRY_MIN",
            "RECORD_RETRY_MAX",
            "RELAY_BATCH",
            "RING_SIZE",
            "FAIR_DEPTH",
            "FAIR_BURST",
            "SMTP_CONNECTION_AGE",
            "LINGER_TIMEOUT",
            "LINGER_LIMIT",
            "BATCH_BODY_LIMIT",
            "IDEMPOTENCY_WAIT",
            "STREAM_INTERVAL",
            "BATCH_WAITING",
            "METRICS_TIMEOUT",
            "TEMPLATE_SCHEMA_LIMIT",
            "TEMPLATE_VERSIONS_LIMIT",
            "MIGRATION_LOCK_TIMEOUT",
        ),
        *("TEMPLATE_LIMIT", "RAMP_FIRST", "FAILURES_GROUPED", "STREAM_BUFFER"),
        *("PAGE_LIMIT", "RETRY_COUNT_LIMIT", "EXPORT_PAGE", "STREAM_STALL", "LANE_RESERVE", "LONG_POLL_WAITING"),
    }
)
