"""Every setting: its name, its bounds, its default. The reader checks the bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _between(low: float, high: float, default: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(*choices: str) -> Any:
    return field(default=choices[0], metadata={"choices": choices})


def _secret() -> Any:
    return field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Values of the environment variables of the same names in capitals. Times are in seconds, sizes in bytes."""

    database_url: str = _secret()
    redis_url: str = _secret()
    redis_namespace: str = ""
    smtp_url: str = _secret()
    email_user: str = ""
    email_pass: str = _secret()
    mail_from: str = ""
    bind: str = "127.0.0.1:8000"
    auth: str = _one_of("required", "off")
    web_concurrency: int = _between(1, 256, 2)

    max_attempts: int = _between(1, 100, 5)
    retry_min_backoff: float = _between(0.001, 86_400, 30)
    retry_max_backoff: float = _between(0.001, 604_800, 3_600)
    stuck_after: float = _between(1, 86_400, 3_600)
    worker_timeout: float = _between(1, 3_600, 30)
    upkeep_interval: float = _between(0.05, 60, 1)
    relay_grace: float = _between(0.1, 3_600, 10)
    relay_watermark: int = _between(1, 1_000_000, 2_000)
    relay_batch: int = _between(1, 100_000, 2_000)
    rescue_batch: int = _between(1, 100_000, 500)
    expire_batch: int = _between(1, 100_000, 1_000)
    claim_batch: int = _between(1, 1_000, 64)
    settle_batch: int = _between(1, 10_000, 500)
    record_retry_min: float = _between(0.01, 60, 0.1)
    record_retry_max: float = _between(0.01, 60, 2)
    workers_kept: float = _between(60, 31_536_000, 86_400)
    ring_size: int = _between(1, 1_000, 50)
    ring_waiting: int = _between(1, 1_000_000, 100_000)
    ring_spread: int = _between(1, 10_000, 16)
    pause_park: float = _between(1, 86_400, 3_600)
    breaker_threshold: int = _between(1, 10_000, 5)
    probe_wait: float = _between(0.1, 3_600, 5)
    probe_wait_max: float = _between(0.1, 3_600, 60)
    probe_lease: float = _between(1, 3_600, 300)
    probe_among: int = _between(1, 100_000, 500)
    ramp_first: float = _between(0.1, 1_000_000, 10)
    list_budget: float = _between(1, 3_600, 60)
    shutdown_grace: float = _between(1, 3_600, 30)
    lane_reserve: int = _between(0, 1_000, 1)
    fair_depth: int = _between(1, 1_000_000, 32)
    fair_burst: int = _between(1, 1_000_000, 20)
    queue_prefetch: int = _between(1, 65_535, 32)

    coalesce_rest: float = _between(0, 1, 0.002)
    accept_batch: int = _between(1, 10_000, 200)
    accept_waiting: int = _between(1, 1_000_000, 10_000)
    batch_limit: int = _between(1, 10_000, 1_000)
    batch_body_limit: int = _between(1_024, 104_857_600, 10_485_760)
    batch_waiting: int = _between(1, 10_000, 20)
    idempotency_ttl: float = _between(86_400, 31_536_000, 86_400)
    idempotency_wait: float = _between(0.01, 60, 1)
    retry_limit: int = _between(1, 10_000, 1_000)
    retry_count_limit: int = _between(1, 10_000_000, 100_000)
    read_threads: int = _between(1, 64, 4)
    read_waiting: int = _between(1, 100_000, 1_000)
    body_limit: int = _between(1_024, 104_857_600, 10_485_760)
    bodies_limit: int = _between(1_048_576, 10_737_418_240, 104_857_600)
    head_timeout: float = _between(0.1, 600, 10)
    body_timeout: float = _between(0.1, 600, 10)
    linger_timeout: float = _between(0, 60, 2)
    linger_limit: int = _between(0, 1_073_741_824, 16_777_216)
    nesting_limit: int = _between(1, 500, 20)
    message_limit: int = _between(1, 10_000_000, 100_000)
    html_limit: int = _between(1, 10_000_000, 500_000)
    subject_limit: int = _between(1, 10_000, 500)
    recipients_limit: int = _between(1, 1_000, 50)
    mailbox_limit: int = _between(254, 1_000, 500)
    headers_limit: int = _between(1, 100, 20)
    header_limit: int = _between(1, 10_000, 2_000)
    allowed_headers: str = "X-*, References, In-Reply-To, Precedence, Importance, Feedback-ID, List-ID"
    attachments_limit: int = _between(1, 100, 10)
    attachments_size: int = _between(1, 52_428_800, 7_000_000)
    filename_limit: int = _between(1, 255, 200)
    refused_attachments: str = (
        "application/x-msdownload, application/x-msdos-program, application/x-dosexec, application/x-executable, "
        "application/x-sh, application/hta, application/java-archive, application/javascript, text/javascript, "
        ".exe, .com, .bat, .cmd, .scr, .pif, .msi, .vbs, .vbe, .js, .jse, .wsf, .wsh, .hta, "
        ".jar, .ps1, .lnk, .cpl, .reg"
    )
    page_limit: int = _between(1, 1_000, 200)
    tags_limit: int = _between(1, 1_000, 20)
    tag_limit: int = _between(1, 1_000, 64)
    metadata_limit: int = _between(1, 1_000, 20)
    metadata_key_limit: int = _between(1, 1_000, 40)
    metadata_value_limit: int = _between(1, 100_000, 500)
    long_poll_max: int = _between(1, 600, 60)
    long_poll_interval: float = _between(0.01, 60, 0.25)
    long_poll_waiting: int = _between(1, 100_000, 2_000)
    stream_interval: float = _between(0.01, 60, 0.2)
    stream_listeners: int = _between(1, 100_000, 5_000)
    stream_heartbeat: float = _between(0.1, 600, 15)
    stream_seconds: float = _between(0.1, 86_400, 3_600)
    stream_stall: float = _between(0.1, 3_600, 30)
    stream_buffer: int = _between(1, 100_000, 1_000)
    stream_kept: float = _between(60, 604_800, 3_600)

    callback_endpoints: int = _between(1, 1_000, 10)
    callback_max_attempts: int = _between(1, 100, 12)
    callback_min_backoff: float = _between(0.001, 86_400, 10)
    callback_max_backoff: float = _between(0.001, 604_800, 21_600)
    callback_timeout: float = _between(0.1, 60, 10)
    callback_rest: float = _between(0, 3_600, 30)
    callback_overlap: float = _between(0, 2_592_000, 86_400)
    callback_allowed_networks: str = ""

    rate_limit: int = _between(0, 2_147_483_647, 0)
    daily_quota: int = _between(0, 2_147_483_647, 0)
    daily_bytes: int = _between(0, 2**53, 10_737_418_240)
    manage_rate: int = _between(1, 2_147_483_647, 1_000)
    pending_limit: int = _between(0, 2_147_483_647, 1_000_000)
    backlog_interval: float = _between(0.1, 3_600, 1)
    limits_fail: str = _one_of("open", "closed")
    limits_timeout: float = _between(0.01, 60, 0.2)
    limits_away: float = _between(0.1, 3_600, 5)

    template_limit: int = _between(1, 1_000_000, 100_000)
    template_schema_limit: int = _between(2, 1_000_000, 65_536)
    template_versions_limit: int = _between(1, 10_000_000, 10_000)
    template_cache: int = _between(1, 100_000, 200)
    render_processes: int = _between(1, 64, 2)
    render_cpu: float = _between(0.01, 60, 0.5)
    render_memory: int = _between(134_217_728, 17_179_869_184, 268_435_456)
    render_timeout: float = _between(0.1, 300, 5)
    batch_render_timeout: float = _between(0.1, 3600, 30)
    render_waiting: int = _between(1, 100_000, 1_000)

    suppressions_limit: int = _between(1, 1_000_000_000, 1_000_000)
    retention_sent: float = _between(0, 3_153_600_000, 0)
    retention_failed: float = _between(0, 3_153_600_000, 0)
    retention_cancelled: float = _between(0, 3_153_600_000, 0)
    retention_lateness: float = _between(0, 31_536_000, 86_400)
    retention_interval: float = _between(1, 86_400, 300)
    retention_batch: int = _between(1, 100_000, 2_000)
    retention_lock_timeout: float = _between(0.001, 10, 0.2)
    retention_patience: float = _between(1, 86_400, 3_600)
    erasure_batch: int = _between(1, 100_000, 500)
    erasure_wait: float = _between(0, 60, 2)
    audit_kept: float = _between(0, 3_153_600_000, 34_560_000)
    export_page: int = _between(1, 10_000, 200)
    partition_size: int = _between(1_000_000, 1_000_000_000_000, 10_000_000)

    public_url: str = ""
    unsubscribe_secret: str = _secret()
    key_cache: float = _between(0, 1, 0.5)
    key_cache_size: int = _between(1, 1_000_000, 10_000)
    key_waiting: int = _between(1, 1_000_000, 10_000)
    key_overlap: int = _between(0, 2_592_000, 86_400)
    session_ttl: float = _between(60, 2_592_000, 43_200)
    caught_mail: str = ""
    login_rate: int = _between(1, 100_000, 30)
    live_interval: float = _between(0.1, 60, 2)
    live_viewers: int = _between(1, 100_000, 2_000)
    failures_grouped: int = _between(1, 100_000, 2_000)

    db_connect_timeout: int = _between(1, 60, 5)
    db_statement_timeout: float = _between(0.1, 600, 10)
    db_lateness: float = _between(0.1, 60, 2)
    migration_lock_timeout: float = _between(0.001, 10, 0.5)
    migration_patience: float = _between(0, 86_400, 600)
    redis_timeout: float = _between(0.2, 60, 3)
    redis_wait: float = _between(0.1, 30, 1)
    smtp_connect_timeout: float = _between(0.1, 300, 10)
    smtp_timeout: float = _between(0.1, 600, 300)
    smtp_data_timeout: float = _between(0.1, 3_600, 600)
    smtp_quit_timeout: float = _between(0.01, 60, 1)
    smtp_ehlo_name: str = ""
    smtp_pipelining: str = _one_of("auto", "off")
    smtp_connection_messages: int = _between(1, 1_000_000, 100)
    smtp_connection_age: float = _between(1, 86_400, 300)
    smtp_connection_idle: float = _between(0, 3_600, 5)
    smtp_throttled_max: float = _between(0, 30 * 86_400, 86_400)

    metrics_dir: str = ""
    metrics_bind: str = ""
    metrics_token: str = _secret()
    metrics_cache: float = _between(0, 60, 1)
    metrics_timeout: float = _between(0.1, 60, 2)

    log_level: str = _one_of("info", "debug", "warning", "error")
    log_format: str = _one_of("auto", "json", "console")
    log_sample: float = _between(0, 1, 1)
    tracing: str = _one_of("off", "on")
    tracing_flush: float = _between(0, 60, 5)
