"""Checks of settings against each other, and of values that are more than a number or a choice."""

from __future__ import annotations

import re
from collections.abc import Callable

from settings import postgres_url, redis_address
from settings.errors import SettingsError
from settings.hosts import is_address_literal, is_domain_name, is_loopback, split
from settings.redis_url import SENTINEL
from settings.values import HINTS, Settings

SHORTEST_SECRET = 32  # characters
# Characters that need no quoting in the keys of Redis and on the command line of Dramatiq's tools.
REDIS_NAMESPACE = re.compile(r"[A-Za-z0-9_{}.-]+(:[A-Za-z0-9_{}.-]+)*")
_SCHEMES = {
    "redis_url": (*redis_address.SCHEMES, f"redis{SENTINEL}", f"rediss{SENTINEL}"),
}
RULES: tuple[tuple[Callable[[Settings], bool], str], ...] = (
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
        raise SettingsError(f"{name.upper()} does not start with {schemes[0]}://: {HINTS[name]}")


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
    if name and not (is_domain_name(name) or is_address_literal(name)):
        raise SettingsError(
            f"SMTP_EHLO_NAME is {name!r}: give a full domain name such as mail.example.com "
            "(letters, digits, hyphens), or an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]"
        )


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


def _check_public(settings: Settings) -> None:
    if not settings.public_url:
        return
    parts = split("PUBLIC_URL", settings.public_url)
    # Mail programs unsubscribe over HTTPS only (RFC 8058, section 3.1).
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
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
    if address and not token and not is_loopback(address[0]):
        raise SettingsError(
            "METRICS_BIND can be reached from other machines: set METRICS_TOKEN, which the scraper must send, "
            "or give 127.0.0.1:9191"
        )


# Each check raises its own SettingsError, so that all faults can be reported at once.
CHECKS: tuple[Callable[[Settings], object], ...] = (
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
