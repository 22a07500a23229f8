"""Settings, read once from the environment. A bad value stops the start with one sentence."""

from settings.errors import CANNOT_START, SettingsError, cannot_start
from settings.headers import PROVIDER_HEADERS, RESERVED_HEADERS
from settings.hosts import Network, is_domain_name
from settings.reader import examined, load, read
from settings.redis_url import Sentinels
from settings.smtp_url import SmtpServer
from settings.values import Settings

__all__ = [
    "CANNOT_START",
    "PROVIDER_HEADERS",
    "RESERVED_HEADERS",
    "Network",
    "Sentinels",
    "Settings",
    "SettingsError",
    "SmtpServer",
    "cannot_start",
    "examined",
    "is_domain_name",
    "load",
    "read",
]
