"""PostgreSQL and Redis of the distribution with their default settings, for a race on usual servers."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.servers.stock_postgres import ROLE, StockPostgres
from tests.servers.stock_redis import StockRedis


class StockRacePostgres(StockPostgres):
    """New cluster of the installed PostgreSQL. An ordinary role owns the databases."""

    user = ROLE

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.password = secrets.token_urlsafe(16)

    def url_of(self, database: str, *_: str) -> str:
        """Return the superuser's URL, over the socket."""
        return f"postgresql:///{database}?host={self.data}&port={self.port}&user=postgres"

    def stop(self) -> None:
        """Stop it at once: nothing in it is kept."""
        self.kill()


class StockRaceRedis(StockRedis):
    """Installed Redis with its default settings, on a free port."""

    def stop(self) -> None:
        """Stop it at once: nothing in it is kept."""
        self.kill()
