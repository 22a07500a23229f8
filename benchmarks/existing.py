"""Measure on existing servers: an empty PostgreSQL database and an empty Redis database.

Existing data are never touched: a database that is not empty is refused, and between the parts only the benchmark's own
data are removed. The CPU time of the servers is not measured, because they may run on another machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg2
import redis
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from benchmarks.stack import KEPT, Ground
from benchmarks.target import WORKERS

# The parts that create their own databases or servers.
OWN_SERVERS = ("growth", "priorities", "floors")
# Prefixes of the keys of Dramatiq's broker, of rate limits, and of workers.
KEYS = ("dramatiq", "LIMITS", "notify")

_RELATIONS = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""
_ROUTINES = """
SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


class RefusedError(Exception):
    """A server must not be used for a measurement. The message names the option and the fix."""


class Existing(Ground):
    """Servers of --database-url and --redis-url. Entering refuses databases with data; leaving empties them."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        super().__init__(folder)
        self._database_url, self._redis_url = database_url, redis_url
        self._lent = False

    def start(self) -> None:
        """Refuse databases that are not empty, and start the mail sink."""
        self._refuse_tables()
        self._refuse_keys()
        self._lent = True
        super().start()

    def stop(self) -> None:
        """Leave both as they were: empty."""
        super().stop()
        if self._lent:
            self.fresh("")

    @property
    def pids(self) -> dict[str, int]:
        """The roots of the process trees that can be seen from here."""
        return {"sink": self.sink.pid}

    def environment(self, database: str, port: int) -> Mapping[str, str]:
        """Return the environment of a target."""
        del database
        return {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "PORT": str(port),
            "WORKERS": str(WORKERS),
            "DATABASE_URL": self._database_url,
            "REDIS_URL": self._redis_url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp_port),
        }

    def fresh(self, database: str, template: str = "") -> None:
        """Remove all tables and keys of the previous part."""
        if template:
            raise RefusedError("growth needs its own servers: remove --database-url")
        del database
        for schema, name in self.execute("", _RELATIONS):
            self.execute("", sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(str(schema), str(name))))
        for (routine,) in self.execute("", _ROUTINES):
            self.execute("", f"DROP ROUTINE IF EXISTS {routine} CASCADE")
        self._remove_keys()

    def checkpoint(self) -> None:
        """Do nothing: an ordinary role may not run CHECKPOINT."""

    def url_of(self, database: str) -> str:
        """Return the URL of the only database."""
        del database
        return self._database_url

    def name_of(self, database: str) -> str:
        """Return the name of the only database."""
        del database
        return str(self.execute("", "SELECT current_database()")[0][0])

    @property
    def redis_url(self) -> str:
        """URL of --redis-url."""
        return self._redis_url

    def redis(self) -> redis.Redis:
        """Return a client."""
        return redis.Redis.from_url(self._redis_url)

    def _refuse_tables(self) -> None:
        try:
            parse_dsn(self._database_url)
            found = self.execute("", _RELATIONS)
        except psycopg2.Error as error:
            reason = str(error).partition("\n")[0] if isinstance(error, psycopg2.OperationalError) else "malformed"
            raise RefusedError(f"--database-url: {reason}") from None
        if found:
            schema, name = found[0]
            raise RefusedError(
                f"--database-url: the database is not empty (it has {schema}.{name}), and its data would be removed:"
                " create an empty database, and give that"
            )

    def _refuse_keys(self) -> None:
        try:
            with closing(self.redis()) as client:
                size = client.dbsize()
        except (redis.RedisError, ValueError) as error:
            raise RefusedError(f"--redis-url: {error}") from None
        if size:
            raise RefusedError(
                f"--redis-url: this Redis database contains {size} keys: give an empty one, such as /15 at its end"
            )

    def _remove_keys(self) -> None:
        with closing(self.redis()) as client:
            found = list(client.scan_iter(count=1_000))
            foreign = [key for key in found if not key.decode(errors="replace").startswith(KEYS)]
            if foreign:
                raise RefusedError(
                    f"--redis-url: another program uses this Redis database: {foreign[0].decode(errors='replace')!r}"
                    " is not one of our keys; nothing was removed"
                )
            if found:
                client.unlink(*found)
