"""Settings, read once from the environment. A bad value stops the start with one sentence."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlencode, urlsplit

from settings import postgres_url, redis_address

GMAIL = "smtp.gmail.com"
STARTTLS = ("required", "optional", "off")
CONNECTIONS, MOST_CONNECTIONS = 20, 1_000  # connections of all workers to the mail server: default and maximum
SHORTEST_SECRET = 32  # characters
SENTINEL = "+sentinel"  # in the scheme of REDIS_URL
SENTINEL_PORT = 26379
RECORDING = 30  # seconds of STUCK_AFTER reserved for recording an outcome
# Characters that need no quoting in the keys of Redis and on the command line of Dramatiq's tools.
REDIS_NAMESPACE = re.compile(r"[A-Za-z0-9_{}.-]+(:[A-Za-z0-9_{}.-]+)*")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


# Exit code if a person must correct a setting or a server.
CANNOT_START = 4


def cannot_start(reason: object) -> NoReturn:
    """End this process with one sentence."""
    print(f"cannot start: {reason}", file=sys.stderr)  # noqa: T201
    sys.exit(CANNOT_START)


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the setting and the fix."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Mail server. `tls`: encrypt from the first byte (`smtps://`). `starttls`: one of STARTTLS."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: str = "optional"
    ca: str = ""
    connections: int = CONNECTIONS  # maximum, of all worker processes together

    @property
    def name(self) -> str:
        """Name of the provider in records, metrics and Redis."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Sentinels that know the current address of the Redis named `master`.

    `user` and `password` are those of the master, `sentinel_user` and `sentinel_password` those of the Sentinels.
    """

    nodes: tuple[tuple[str, int], ...]
    master: str
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)
    tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def _between(low: float, high: float, default: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(*choices: str) -> Any:
    return field(default=choices[0], metadata={"choices": choices})


def _secret() -> Any:
    return field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
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

    @property
    def path_prefix(self) -> str:
        """Path of PUBLIC_URL, which a proxy adds before all of our paths; empty without one."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def smtp(self) -> SmtpServer:
        """Mail server. Raises SettingsError if none is set or SMTP_URL is wrong."""
        if self.smtp_url:
            return _smtp_server(self.smtp_url)
        if self.email_user and self.email_pass:
            return SmtpServer(GMAIL, 587, self.email_user, self.email_pass, starttls="required")
        raise SettingsError(
            "SMTP_URL is not set: give the mail server as smtp://user:pass@host:587 "
            "(or EMAIL_USER and EMAIL_PASS for Gmail)"
        )

    @property
    def provider(self) -> str:
        """Name of the mail server's breaker, host:port; empty if none is set or SMTP_URL is wrong."""
        try:
            return f"{self.smtp.host}:{self.smtp.port}"
        except SettingsError:
            return ""

    @property
    def smtp_limit(self) -> float:
        """Seconds in which a mail must be sent; its answer may take SMTP_DATA_TIMEOUT more.

        STUCK_AFTER starts with the claim of a list of notifications, of which the last one begins within LIST_BUDGET.
        """
        return self.stuck_after - self.list_budget - self.smtp_data_timeout - RECORDING

    @property
    def sender(self) -> str:
        """Sender of every mail: MAIL_FROM, else the SMTP user if that is an address."""
        sender = self.mail_from or next((u for u in (self.email_user, self.smtp.user) if "@" in u), "")
        if not sender:
            raise SettingsError("MAIL_FROM is not set: give the sender's address, for example noreply@example.com")
        if any(ord(c) < 32 or ord(c) == 127 for c in sender):
            raise SettingsError("MAIL_FROM contains a control character: give one address on one line")
        return sender

    @property
    def callback_networks(self) -> tuple[Network, ...]:
        """Networks in CALLBACK_ALLOWED_NETWORKS: callbacks may go there although they are not public."""
        try:
            return tuple(
                ipaddress.ip_network(n.strip()) for n in self.callback_allowed_networks.split(",") if n.strip()
            )
        except ValueError:
            raise SettingsError(
                "CALLBACK_ALLOWED_NETWORKS is malformed: give networks, for example 10.1.0.0/16, fd00:1::/64"
            ) from None

    @property
    def sentinels(self) -> Sentinels | None:
        """Sentinels in REDIS_URL; None if it contains the address of Redis itself. Raises SettingsError."""
        return _sentinels(self.redis_url) if SENTINEL in self.redis_url.partition("://")[0] else None

    @property
    def redis_server(self) -> redis_address.Address:
        """Server in a REDIS_URL without Sentinels. Raises SettingsError."""
        return _redis_server(self.redis_url)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port in BIND."""
        return _address("BIND", self.bind, "127.0.0.1:8000")

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port in METRICS_BIND; None if workers serve no metrics."""
        return _address("METRICS_BIND", self.metrics_bind, "127.0.0.1:9191") if self.metrics_bind else None

    @property
    def header_rules(self) -> re.Pattern[str]:
        """Pattern of the header names that clients may use, from ALLOWED_HEADERS. Raises SettingsError."""
        names = [name.strip() for name in self.allowed_headers.split(",")]
        for name in names:
            if not _HEADER_RULE.fullmatch(name):
                raise SettingsError("ALLOWED_HEADERS is malformed: give names, for example X-*, References")
            if name.lower() in RESERVED_HEADERS:
                raise SettingsError(f"ALLOWED_HEADERS contains {name}: remove it, this system writes it itself")
        return re.compile("|".join(name.replace("*", "[A-Za-z0-9-]{1,60}") for name in names), re.ASCII | re.IGNORECASE)

    @property
    def exact_headers(self) -> frozenset[str]:
        """Names in ALLOWED_HEADERS without a `*`, in lower case."""
        names = (name.strip().lower() for name in self.allowed_headers.split(","))
        return frozenset(name for name in names if "*" not in name)

    def require(self, *names: str) -> None:
        """Raise SettingsError for the first of the named settings that is empty."""
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"{name.upper()} is not set: {_HINTS[name]}")

    @property
    def exposed(self) -> bool:
        """True if other machines can reach the API and need no key."""
        return self.auth == "off" and not self.local

    @property
    def local(self) -> bool:
        """True if only this machine can reach the API."""
        return _is_loopback(self.address[0])


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN_NAME = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
_HEADER_RULE = re.compile(r"[A-Za-z0-9-]{1,60}\*?|\*")
# Headers that the mail channel writes, or that only mail systems may write.
RESERVED_HEADERS = {
    *("from", "to", "cc", "bcc", "reply-to", "sender", "subject", "date", "message-id", "auto-submitted"),
    *("mime-version", "list-unsubscribe", "list-unsubscribe-post", "return-path", "received", "received-spf"),
    *("dkim-signature", "authentication-results", "delivered-to"),
}
# Headers that control a mail provider (recipients, templates, accounts, tracking), or that providers and relays add to
# authenticate a mail. `X-*` does not allow them; only their full name in ALLOWED_HEADERS does.
PROVIDER_HEADERS = re.compile(
    r"x-(?:originating-ip|job|envid|apiheader|xs.*)|x-(?:tm|mailin|mc|mailgun|ses|msys|pm|sib|brevo|mj|sg|mt|gm|ms-exchange|socketlabs|postal)-.*"
    r"|x-(?:smtp|mandrill|sparkpost|postmark|mailjet|mailersend|resend|sendgrid|elastic|greenarrow|virtual-?mta).*"
    r"|x-(?:envelope|google|microsoft|forefront).*|resend-.*"
)
_HINTS = {
    "database_url": "give PostgreSQL as postgresql://user:pass@host:5432/name, or run `notify up`",
    "redis_url": "give Redis as redis://host:6379/0, or run `notify up`",
}
_SCHEMES = {
    "redis_url": (*redis_address.SCHEMES, f"redis{SENTINEL}", f"rediss{SENTINEL}"),
}


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in an environment. An unset or empty variable means the default. Raises SettingsError."""
    settings, wrong = examined(environ)
    if wrong:
        raise SettingsError(wrong[0])
    return settings


def examined(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings in an environment, and a sentence for each fault. A wrong number or choice is its default."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for setting in fields(Settings):
        raw = environ.get(setting.name.upper(), "").strip()
        if raw:
            try:
                values[setting.name] = _parse(setting.name.upper(), raw, setting.type, setting.metadata)
            except SettingsError as error:
                wrong.append(str(error))
    settings = Settings(**values)
    try:
        settings = _timed_by_url(settings, values)
    except SettingsError as error:
        wrong.append(str(error))
    wrong += [sentence for kept, sentence in _RULES if not kept(settings)]
    for check in _CHECKS:
        try:
            check(settings)
        except SettingsError as error:
            wrong.append(str(error))
    return settings, wrong


@cache
def load() -> Settings:
    """Return the settings of this process."""
    return read(os.environ)


_RULES: tuple[tuple[Callable[[Settings], bool], str], ...] = (
    (lambda s: s.retry_min_backoff <= s.retry_max_backoff, "RETRY_MIN_BACKOFF is above RETRY_MAX_BACKOFF: lower it"),
    (
        lambda s: s.worker_timeout > 2 * s.upkeep_interval,
        "WORKER_TIMEOUT must be more than twice UPKEEP_INTERVAL, or live workers would be considered dead",
    ),
    (
        lambda s: s.redis_timeout > s.redis_wait,
        "REDIS_TIMEOUT must be above REDIS_WAIT, or every wait in Redis would time out",
    ),
    (
        lambda s: s.list_budget < s.stuck_after,
        "LIST_BUDGET must be below STUCK_AFTER, or rescue would take work from live workers",
    ),
    (
        lambda s: s.bodies_limit >= s.body_limit,
        "BODIES_LIMIT must not be below BODY_LIMIT, or the largest body would never fit",
    ),
    (
        lambda s: s.callback_min_backoff <= s.callback_max_backoff,
        "CALLBACK_MIN_BACKOFF is above CALLBACK_MAX_BACKOFF: lower it",
    ),
    (
        lambda s: s.callback_timeout < s.stuck_after,
        "CALLBACK_TIMEOUT must be below STUCK_AFTER, or rescue would take work from live workers",
    ),
)


def _check_scheme(settings: Settings, name: str) -> None:
    url, schemes = getattr(settings, name), _SCHEMES[name]
    if url and url.partition("://")[0] not in schemes:
        raise SettingsError(f"{name.upper()} does not start with {schemes[0]}://: {_HINTS[name]}")


def _check_postgres(settings: Settings) -> None:
    if settings.database_url:
        try:
            postgres_url.parse(settings.database_url, {})
        except postgres_url.Malformed as error:
            raise SettingsError(str(error)) from None


def _check_slowest(settings: Settings) -> None:
    # Time-outs of connecting (two addresses), the greeting, and the answers to EHLO, MAIL, RCPT and DATA.
    least = 2 * settings.smtp_connect_timeout + 5 * settings.smtp_timeout
    slowest = settings.stuck_after - settings.smtp_limit + least
    if slowest >= settings.stuck_after:
        raise SettingsError(
            f"STUCK_AFTER must be above {slowest:g}, the time that LIST_BUDGET and the SMTP time-outs allow, or rescue "
            "would take work from live workers: raise it, or lower SMTP_TIMEOUT or SMTP_DATA_TIMEOUT"
        )


def _check_ehlo_name(settings: Settings) -> None:
    name = settings.smtp_ehlo_name
    if name and not (is_domain_name(name) or _is_address_literal(name)):
        raise SettingsError(
            f"SMTP_EHLO_NAME is {name!r}: give a full domain name such as mail.example.com "
            "(letters, digits, hyphens), or an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]"
        )


def is_domain_name(name: str) -> bool:
    """Return whether mail servers accept the name as a fully qualified domain name (RFC 5321, section 2.3.5)."""
    last = name.lower().rpartition(".")[2]
    return len(name) <= 253 and bool(_DOMAIN_NAME.fullmatch(name)) and last not in ("localhost", "localdomain")


def _is_address_literal(name: str) -> bool:
    inner = name[1:-1] if name.startswith("[") and name.endswith("]") else ""
    kind = ipaddress.IPv6Address if inner.lower().startswith("ipv6:") else ipaddress.IPv4Address
    try:
        kind(inner[5:] if kind is ipaddress.IPv6Address else inner)
    except ValueError:
        return False
    return "%" not in inner


def _parse(name: str, raw: str, kind: object, metadata: Mapping[str, Any]) -> object:
    choices = metadata.get("choices")
    if choices and raw not in choices:
        raise SettingsError(f"{name} is {raw!r}: give one of {', '.join(c for c in choices if c)}")
    if kind == "str":
        return raw
    number = int if kind == "int" else float
    low, high = metadata["low"], metadata["high"]
    try:
        value = number(raw)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise SettingsError(f"{name} is {raw!r}: give a number from {low:g} to {high:g}")
    return value


def _smtp_server(url: str) -> SmtpServer:
    parts = _split("SMTP_URL", url)
    options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/"):
        raise SettingsError("SMTP_URL must look like smtp://user:pass@host:587 or smtps://user:pass@host:465")
    if unknown := set(options) - {"starttls", "ca", "connections"}:
        raise SettingsError(f"SMTP_URL has an unknown option {min(unknown)!r}: use starttls, ca or connections")
    # A password is sent unencrypted only if the URL says starttls=off.
    starttls = options.get("starttls", "required" if parts.password else "optional")
    if starttls not in STARTTLS:
        raise SettingsError(f"SMTP_URL has starttls={starttls}: give one of {', '.join(STARTTLS)}")
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "smtps",
        starttls=starttls,
        ca=options.get("ca", ""),
        connections=_connections(options.get("connections", str(CONNECTIONS))),
    )


def _connections(given: str) -> int:
    count = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0
    if not 1 <= count <= MOST_CONNECTIONS:
        raise SettingsError(f"SMTP_URL has connections={given}: give a number from 1 to {MOST_CONNECTIONS}")
    return count


def _split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # Its message may quote the URL, including the password.
        raise SettingsError(
            f"{name} is malformed: give scheme://user:pass@host:port, with a port from 0 to 65535"
        ) from None
    return parts


def _check_redis(settings: Settings) -> None:
    _check_scheme(settings, "redis_url")
    if not settings.redis_url:
        return
    _ = settings.sentinels or settings.redis_server


def _check_namespace(settings: Settings) -> None:
    name = settings.redis_namespace
    if name and (len(name) > 64 or not REDIS_NAMESPACE.fullmatch(name)):
        raise SettingsError(
            "REDIS_NAMESPACE is malformed: give at most 64 letters, digits, _ . - { } and single colons between them, "
            "for example notify:staging"
        )


def _timed_by_url(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Return the settings with the option socket_timeout of REDIS_URL as REDIS_TIMEOUT.

    A malformed REDIS_URL is reported by `_check_redis`.
    """
    try:
        found = settings.sentinels or (settings.redis_url and settings.redis_server)
    except SettingsError:
        return settings
    seconds = found.options.get("socket_timeout") if found else None
    if seconds is None:
        return settings
    if given.get("redis_timeout", seconds) != seconds:
        raise SettingsError("REDIS_URL has the option socket_timeout, and REDIS_TIMEOUT differs: remove one of them")
    return replace(settings, redis_timeout=seconds)


def _redis_server(url: str) -> redis_address.Address:
    try:
        return redis_address.parse(url)
    except redis_address.Wrong as error:
        raise SettingsError(str(error)) from None


def _sentinels(url: str) -> Sentinels:
    """Parse redis+sentinel://user:pass@host:26379,host:26379/master/0?sentinel_password=..."""
    scheme, _, rest = url.partition("://")
    whole, _, query = rest.partition("?")
    place, _, path = whole.partition("/")
    credentials, _, hosts = place.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, database = path.rstrip("/").partition("/")
    # No message may contain the URL, because of its password.
    if not master or (database and not database.isdecimal()):
        raise SettingsError(
            "REDIS_URL does not name a master: give redis+sentinel://user:pass@host:26379,host:26379/mymaster/0 "
            "(and ?sentinel_password=... if the Sentinels need one)"
        )
    own, others = _of_sentinels(query)
    tls = scheme.startswith("rediss")
    try:
        options = redis_address.options(others, tls=tls)
        for name in ("db", "username", "password"):
            if name in options:
                raise redis_address.Wrong(
                    f"REDIS_URL has the option {name!r}, which cannot be used with Sentinels: remove it, "
                    "and give redis+sentinel://user:pass@host:26379/mymaster/0"
                )
        user, password = redis_address.text(user, "user name"), redis_address.text(password, "password")
    except redis_address.Wrong as error:
        raise SettingsError(str(error)) from None
    return Sentinels(
        nodes=tuple(map(_sentinel, hosts.split(","))),
        master=unquote(master),
        database=int(database or 0),
        user=user,
        password=password,
        sentinel_user=own.get("sentinel_username", ""),
        sentinel_password=own.get("sentinel_password", ""),
        tls=tls,
        options=options,
    )


def _of_sentinels(query: str) -> tuple[dict[str, str], str]:
    """Split a query into the options for the Sentinels themselves and the others."""
    pairs = parse_qsl(query, keep_blank_values=True)
    own = {name: value for name, value in pairs if name.startswith("sentinel_")}
    if unknown := own.keys() - {"sentinel_username", "sentinel_password"}:
        raise SettingsError(
            f"REDIS_URL has an unknown option {min(unknown)!r}: use sentinel_username or sentinel_password"
        )
    return own, urlencode([pair for pair in pairs if pair[0] not in own])


def _sentinel(node: str) -> tuple[str, int]:
    parts = _split("REDIS_URL", f"//{node}")
    if not parts.hostname or parts.path:
        raise SettingsError("REDIS_URL has a Sentinel without a host: give host:26379 for each, separated by commas")
    return parts.hostname, parts.port or SENTINEL_PORT


def _check_public(settings: Settings) -> None:
    if not settings.public_url:
        return
    parts = _split("PUBLIC_URL", settings.public_url)
    # Mail programs unsubscribe over HTTPS only (RFC 8058, section 3.1).
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if not (secure and parts.hostname) or parts.query or parts.fragment or parts.username is not None:
        raise SettingsError("PUBLIC_URL is malformed: give https://notify.example.com (http:// only for loopback)")
    if any(not 32 < ord(c) < 127 or c in "<>" for c in settings.public_url):
        raise SettingsError("PUBLIC_URL contains a character that is not allowed in a URL: percent-encode it")
    if len(settings.unsubscribe_secret) < SHORTEST_SECRET:
        raise SettingsError(
            f"UNSUBSCRIBE_SECRET must have at least {SHORTEST_SECRET} characters if PUBLIC_URL is set: "
            "make one with `openssl rand -hex 32`, and give the same one to the API and the workers"
        )


def _check_metrics(settings: Settings) -> None:
    token = settings.metrics_token
    if token and (len(token) < SHORTEST_SECRET or any(not 32 < ord(c) < 127 for c in token)):
        raise SettingsError(
            f"METRICS_TOKEN is malformed: give at least {SHORTEST_SECRET} characters without spaces, "
            "for example made with `openssl rand -hex 32`"
        )
    address = settings.metrics_address
    if address and not token and not _is_loopback(address[0]):
        raise SettingsError(
            "METRICS_BIND can be reached from other machines: set METRICS_TOKEN, which the scraper must send, "
            "or give 127.0.0.1:9191"
        )


def _address(name: str, bind: str, example: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise SettingsError(f"{name} is {bind!r}: give host:port, for example {example}")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# Each check raises its own SettingsError, so that all faults can be reported at once.
_CHECKS: tuple[Callable[[Settings], object], ...] = (
    _check_slowest,
    _check_ehlo_name,
    _check_postgres,
    _check_redis,
    _check_namespace,
    _check_public,
    lambda s: s.smtp_url and s.smtp,
    lambda s: s.address,
    lambda s: s.header_rules,
    lambda s: s.callback_networks,
    _check_metrics,
)
