"""All settings. They come from the environment, and each process reads them once; a bad value stops its start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Self

from settings import providers, reader, rules
from settings.access import AccessSettings
from settings.breaker import BreakerSettings
from settings.callbacks import CallbackSettings
from settings.chat import ChatSettings
from settings.content import ContentSettings
from settings.dashboard import DashboardSettings
from settings.database import DatabaseSettings
from settings.delivery import DeliverySettings
from settings.domains import DomainSettings
from settings.errors import SettingsError, cannot_start
from settings.http import HttpSettings
from settings.limits import LimitSettings
from settings.process import ProcessSettings
from settings.providers import Provider
from settings.public import PublicSettings
from settings.queue import QueueSettings
from settings.redis import RedisSettings
from settings.reports import ReportSettings
from settings.retention import RetentionSettings
from settings.retry import RetrySettings
from settings.smtp import SmtpSettings
from settings.store import StoreSettings
from settings.streams import StreamSettings
from settings.telemetry import TelemetrySettings
from settings.templates import TemplateSettings

__all__ = ["VARIABLES", "Settings", "SettingsError", "cannot_start", "examined", "load", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, in groups: `settings.smtp.timeout` is SMTP_TIMEOUT. Times are seconds, sizes bytes."""

    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    smtp: SmtpSettings = field(default_factory=SmtpSettings)
    process: ProcessSettings = field(default_factory=ProcessSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    public: PublicSettings = field(default_factory=PublicSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    content: ContentSettings = field(default_factory=ContentSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    callbacks: CallbackSettings = field(default_factory=CallbackSettings)
    chat: ChatSettings = field(default_factory=ChatSettings)
    reports: ReportSettings = field(default_factory=ReportSettings)
    streams: StreamSettings = field(default_factory=StreamSettings)
    templates: TemplateSettings = field(default_factory=TemplateSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    domains: DomainSettings = field(default_factory=DomainSettings)
    dashboard: DashboardSettings = field(default_factory=DashboardSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    named_providers: tuple[Provider, ...] = ()
    """Those of PROVIDER_<NAME>."""

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All providers, that of SMTP_URL first; raises SettingsError if there is none."""
        own = self.smtp.provider
        if not (own or self.named_providers):
            raise SettingsError(
                "SMTP_URL is not set: give the mail server as smtp://user:pass@host:587 "
                "(or EMAIL_USER and EMAIL_PASS for Gmail)"
            )
        return (*([own] if own else []), *self.named_providers)

    @property
    def known_providers(self) -> tuple[Provider, ...]:
        """All providers; empty if none is set or a URL is wrong."""
        try:
            return self.providers
        except SettingsError:
            return ()

    @property
    def provider_names(self) -> list[str]:
        """The names of all providers that are known."""
        return [provider.name for provider in self.known_providers]

    def value(self, variable: str) -> Any:
        """Return the value of an environment variable, e.g. of "SMTP_TIMEOUT"."""
        group, setting = VARIABLES[variable]
        return getattr(getattr(self, group), setting.name)

    def changed(self, **values: object) -> Self:
        """Return a copy with other values for these environment variables, e.g. for `BIND="[::1]:8000"`."""
        groups: dict[str, dict[str, Any]] = {}
        for variable, value in values.items():
            group, setting = VARIABLES[variable]
            groups.setdefault(group, {})[setting.name] = value
        return replace(self, **{name: replace(getattr(self, name), **changes) for name, changes in groups.items()})


_GROUPS: dict[str, Any] = {
    group.name: group.default_factory for group in fields(Settings) if group.name != "named_providers"
}
VARIABLES = reader.variables(_GROUPS)


def examined(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings in an environment, and a sentence for each fault.

    A number or choice that is wrong has its default in the settings.
    """
    found = {name: reader.read_group(group, environ) for name, group in _GROUPS.items()}
    named, misnamed = providers.named(environ)
    settings = Settings(**{name: group for name, (group, _) in found.items()}, named_providers=named)
    wrong = [sentence for _, sentences in found.values() for sentence in sentences] + misnamed
    return settings, [*wrong, *rules.faults(settings.delivery, settings.smtp, settings.callbacks)]


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in an environment; raise SettingsError for the first fault."""
    settings, wrong = examined(environ)
    if wrong:
        raise SettingsError(wrong[0])
    return settings


@cache
def load() -> Settings:
    """Return the settings of this process."""
    return read(os.environ)
