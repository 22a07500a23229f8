"""The embedded servers, configured for a race: durable, and reachable over TCP on the loopback interface."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from urllib.parse import quote

from cli.servers.postgres import USER, Postgres
from cli.servers.valkey import Valkey

# Durability as in production, and enough memory to keep every system's tables in it.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "wal_level": "replica",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
# Other users of this machine can reach the loopback interface, so TCP connections need the password.
ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


def free_port() -> int:
    """Return a port that is currently free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RacePostgres(Postgres):
    """PostgreSQL with a TCP port and a password, in addition to its socket."""

    def __init__(self, data_dir: Path, runtime_dir: Path) -> None:
        self.port, self.user, self.password = free_port(), USER, secrets.token_urlsafe(16)
        self._access = runtime_dir / "pg_hba.conf"
        places = {"port": str(self.port), "hba_file": str(self._access)}
        super().__init__(data_dir, runtime_dir, settings={**SETTINGS, **places}, database=USER)

    def url_of(self, database: str) -> str:
        """Return the URL of a database over the socket, which needs no password."""
        return f"postgresql:///{database}?host={quote(str(self._sockets))}&port={self.port}&user={USER}"

    def prepare(self) -> None:
        """Write pg_hba.conf before the first start, so that TCP connections always need the password."""
        super().prepare()
        self._access.write_text(ACCESS)
        self._access.chmod(0o644)


class RaceValkey(Valkey):
    """Valkey with a TCP port, and without an append-only file: Redis need not be durable."""

    def __init__(self, data_dir: Path, runtime_dir: Path) -> None:
        super().__init__(data_dir, runtime_dir)
        self.port = free_port()

    def _settings(self) -> dict[str, str]:
        return {**super()._settings(), "port": str(self.port), "bind": "127.0.0.1", "appendonly": "no"}
