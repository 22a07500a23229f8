"""Servers that exist: a PostgreSQL database and a Redis database, both empty, lent for the time of a measurement.

Nothing that was there before is touched: what is not empty is refused, and what is emptied between the parts
is what the benchmark itself has put there. CPU is not measured of servers that may be anywhere.
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

# The parts that make databases, or servers, of their own.
OWN_SERVERS = ("growth", "lanes", "floors")
# Keys of Dramatiq's broker, of the limits of requests, and of what the workers tell each other.
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
    """A server is not to be used for this; the message names the option and the way out."""


class Existing(Ground):
    """DATABASE_URL and REDIS_URL as they were given. Entering refuses what is not empty; leaving empties both."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        super().__init__(folder)
        self._database_url, self._redis_url = database_url, redis_url
        self._lent = False

    def start(self) -> None:
        """Refuse what holds anything; start the mail sink."""
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
        """What a target is told."""
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
        """Remove every table and key that the part before has made."""
        if template:
            raise RefusedError("growth wants servers of its own: leave out --database-url")
        del database
        for schema, name in self.execute("", _RELATIONS):
            self.execute("", sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(str(schema), str(name))))
        for (routine,) in self.execute("", _ROUTINES):
            self.execute("", f"DROP ROUTINE IF EXISTS {routine} CASCADE")
        self._remove_keys()

    def checkpoint(self) -> None:
        """Nothing: an ordinary role may not."""

    def url_of(self, database: str) -> str:
        """The one database that there is."""
        del database
        return self._database_url

    def name_of(self, database: str) -> str:
        """As the server calls it."""
        del database
        return str(self.execute("", "SELECT current_database()")[0][0])

    @property
    def redis_url(self) -> str:
        """As it was given."""
        return self._redis_url

    def redis(self) -> redis.Redis:
        """A client."""
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
                f"--database-url: the database is not empty (it has {schema}.{name}), and all of it would be removed:"
                " CREATE DATABASE another one, and name that"
            )

    def _refuse_keys(self) -> None:
        try:
            with closing(self.redis()) as client:
                size = client.dbsize()
        except (redis.RedisError, ValueError) as error:
            raise RefusedError(f"--redis-url: {error}") from None
        if size:
            raise RefusedError(
                f"--redis-url: this Redis database holds {size} keys already: name an empty one, such as /15 at its end"
            )

    def _remove_keys(self) -> None:
        with closing(self.redis()) as client:
            found = list(client.scan_iter(count=1_000))
            foreign = [key for key in found if not key.decode(errors="replace").startswith(KEYS)]
            if foreign:
                raise RefusedError(
                    f"--redis-url: somebody else is using this Redis database: {foreign[0].decode(errors='replace')!r}"
                    " is no key of ours; nothing was removed from it"
                )
            if found:
                client.unlink(*found)
