"""Settings of PostgreSQL: its address, and how long to wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settings import postgres_url
from settings.errors import SettingsError
from settings.group import Group, fault, number, secret


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings(Group):
    """Read by db.database, and by `notify migrate`."""

    url: str = secret("DATABASE_URL")
    """The address of PostgreSQL 14 to 18: `postgresql://user:pass@host:5432/name`."""
    connect_timeout: int = number("DB_CONNECT_TIMEOUT", 5, "seconds", low=1, high=60)
    """The time to connect to PostgreSQL; a shorter `connect_timeout` in DATABASE_URL wins."""
    statement_timeout: float = number("DB_STATEMENT_TIMEOUT", 10, "seconds", low=0.1, high=600)
    """The time for one statement."""
    migration_patience: float = number("MIGRATION_PATIENCE", 600, "seconds", low=0, high=86_400)
    """How long `notify migrate` repeats each step that gets no lock."""

    def require(self) -> None:
        """Raise a SettingsError if DATABASE_URL is not set."""
        if not self.url:
            raise SettingsError(
                "DATABASE_URL is not set: give PostgreSQL as postgresql://user:pass@host:5432/name, or run `notify up`"
            )

    def faults(self) -> Iterator[str]:
        if self.url:
            yield from fault(self._check_url)

    def _check_url(self) -> None:
        try:
            postgres_url.parse(self.url, {})
        except postgres_url.Malformed as error:
            raise SettingsError(str(error)) from None
