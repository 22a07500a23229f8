"""The settings of each database session, whatever the server, the database, the role or a pooler has set before.

A connection straight to PostgreSQL sets them once. Behind a pooler, each transaction may run in another session, so
each transaction sets them for itself: no setting is missing, and none is left behind for others. A pooler is
recognised by the backend pid of the session: it makes up its own for its clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
from peewee import PostgresqlDatabase, __exception_wrapper__  # type: ignore[attr-defined]
from psycopg2.errors import CantChangeRuntimeParam, QueryCanceled

from db import hosts
from settings import SettingsError
from settings.postgres_url import CONFORMING

# The name of our connections in every version; the number of the last migration that the version knows follows it.
APPLICATION = "notification-system"

# Settings for plans and waits. DATABASE_URL may set other values.
TUNED = {
    # Make the plan of a prepared statement once, for all values.
    "plan_cache_mode": "force_generic_plan",
    # Statements take milliseconds; to compile one takes a second, and PostgreSQL does so at each execution.
    "jit": "off",
    # No statement asks a block for what its CHECKs exclude, and considering them costs time in each statement.
    "constraint_exclusion": "off",
    # Waits for locks are bounded where they must be (`hurrying`), and otherwise by the statement timeout.
    "lock_timeout": "0",
    # An idle thread keeps its connection.
    "idle_session_timeout": "0",
}

# A number for the schema of our tables, so that two installations in one database share no advisory locks and names.
SCHEMA = "quote_ident(current_schema())::regnamespace::oid::int"
# For WHERE: our connections of this schema in pg_stat_activity. `_set_up` gives them their names.
OURS = f"""datname = current_database() AND application_name LIKE '{APPLICATION}%%'
    AND coalesce(substring(application_name FROM '^\\S+ \\S+ in (-?\\d+)')::int, to_regnamespace('public')::oid::int)
        = {SCHEMA}"""

# These must run outside of transactions, so they cannot share one with the settings.
_ALONE = re.compile(r"\s*(CREATE (UNIQUE )?INDEX CONCURRENTLY|DROP INDEX CONCURRENTLY|VACUUM|REINDEX)\b", re.IGNORECASE)


class Connection(psycopg2.extensions.connection):
    """`pooled`: each transaction begins with `settings`."""

    pooled = False
    settings: Mapping[str, str]


# The types of Peewee's class are incomplete.
_Postgresql: Any = PostgresqlDatabase


class Database(_Postgresql):  # type: ignore[misc]
    """PostgreSQL, with our settings in force in every session."""

    def session(self, name: tuple[str, str], settings: Mapping[str, str], *, pooled: bool) -> None:
        """Choose what new connections set. `name`: our name for them, and the one in DATABASE_URL.

        `pooled`: there is a pooler, even if it cannot be recognised.
        """
        self._name, self._settings, self._pooled = name, dict(settings), pooled
        self.connect_params: dict[str, Any] = {}  # or `init` would add to those of another DATABASE_URL

    @property
    def schema_chosen(self) -> bool:
        """Return whether DATABASE_URL names the schema of our tables."""
        return "search_path" in self._settings

    def another(self) -> Connection:
        """Return a new connection with our settings; the caller closes it."""
        with __exception_wrapper__:
            return self._connect()

    def pooled(self) -> bool:
        """Return whether this thread's connection leads to a pooler."""
        return bool(self.connection().pooled)

    def _connect(self) -> Connection:
        conn = self._opened()
        if conn.get_parameter_status(CONFORMING) != "on":
            conn.close()
            conn = self._opened(**{CONFORMING: "on"})
        try:
            return self._ready(conn)
        except QueryCanceled:
            # The role's statement_timeout is too short even for the statement that ends it.
            return self._ready(self._opened(**{CONFORMING: "on", "statement_timeout": "0"}))

    def _ready(self, conn: Connection) -> Connection:
        try:
            conn.autocommit = True
            self._set_up(conn)
        except (psycopg2.ProgrammingError, psycopg2.DataError, CantChangeRuntimeParam) as error:
            conn.close()
            # Every server accepts our own settings, so DATABASE_URL is at fault.
            said = str(error).splitlines()[0]
            raise SettingsError(
                f"DATABASE_URL sets what the server refuses ({said}): change it in options, or remove it"
            ) from None
        except BaseException:
            conn.close()
            raise
        return conn

    def _opened(self, **settings: str) -> Connection:
        """Open a connection. `settings` go into its first packet, which not every pooler accepts."""
        parameters = self.connect_params
        if settings:
            more = (f"-c{name}={value}" for name, value in settings.items())
            parameters = {**parameters, "options": " ".join([parameters.get("options", ""), *more])}
        conn: Connection = hosts.connect(parameters, Connection)
        return conn

    def _set_up(self, conn: Connection) -> None:
        """Set everything in one round trip: for the session, or for this transaction if there is a pooler."""
        pooled = "true" if self._pooled else f"(pg_backend_pid() <> {conn.info.backend_pid})"
        chosen = [f"set_config(%s, %s, {pooled})" for _ in self._settings]
        if "search_path" not in self._settings:
            # Other clients may have changed it in a pooler's session; pg_dump empties it.
            chosen.append(
                f"CASE WHEN {pooled} THEN set_config('search_path',"
                " (SELECT reset_val FROM pg_settings WHERE name = 'search_path'), true) END"
            )
        ours, theirs = self._name
        with conn.cursor() as cursor:
            cursor.execute(
                # The role's statement_timeout may be too short even for a SELECT that sets it.
                "SET LOCAL statement_timeout = 0;"
                f" SELECT {', '.join(chosen)}; SELECT {pooled}, current_setting('search_path'),"
                f" set_config('application_name', %s || coalesce(' in ' || nullif({SCHEMA},"
                f" to_regnamespace('public')::oid::int), '') || %s, {pooled})",
                [*(word for pair in self._settings.items() for word in pair), ours, theirs and f" ({theirs})"],
            )
            [(conn.pooled, path, name)] = cursor.fetchall()
        # A transaction's isolation must be set before its first snapshot: see `begin` and `execute_sql`.
        settings = {key: value for key, value in self._settings.items() if key != "default_transaction_isolation"}
        conn.settings = {**settings, "search_path": path, "application_name": name}

    @contextmanager
    def taking(self, timeout: str) -> Iterator[None]:
        """Set another statement_timeout for this thread's connection. Call outside of a transaction.

        After an exception the session keeps it.
        """
        conn = self.connection()
        before = conn.settings
        conn.settings = {**before, "statement_timeout": timeout}
        try:
            self._set(conn, timeout)
            yield
            self._set(conn, before["statement_timeout"])
        finally:
            conn.settings = before

    def without_timeouts(self) -> None:
        """Remove all timeouts of statements and transactions from this connection."""
        conn = self.connection()
        conn.settings = {**conn.settings, "statement_timeout": "0"}
        if not conn.pooled:
            # Old versions of PostgreSQL lack some of these.
            super().execute_sql(
                "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN"
                " ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')"
            )

    def _set(self, conn: Connection, timeout: str) -> None:
        if not conn.pooled:
            super().execute_sql("SELECT set_config('statement_timeout', %s, false)", (timeout,))

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement. Behind a pooler, a statement outside of a transaction brings its settings along."""
        if not self.is_closed() and not self.in_transaction():
            conn = self.connection()
            if conn.pooled and not _ALONE.match(sql):
                sql = f"SET LOCAL transaction_isolation = 'read committed'; {_local(conn)}; {sql}"
        return super().execute_sql(sql, params)

    def begin(self, isolation_level: int | None = None) -> None:
        """Begin a transaction. Behind a pooler, it begins with its settings."""
        conn = self.connection()
        if not conn.pooled:
            super().begin(isolation_level)
            return
        level = self._adapter.isolation_level_str(isolation_level) if isolation_level else "READ COMMITTED"
        with __exception_wrapper__:
            # With an empty tuple, %% stands for % as in every other statement.
            self.cursor().execute(f"BEGIN ISOLATION LEVEL {level}; {_local(conn)}", ())


def _local(conn: Connection) -> str:
    """Return a SELECT that sets everything for the transaction. SET would read '"a", b' as one schema."""
    return f"SELECT {', '.join(f'set_config({_literal(n)}, {_literal(v)}, true)' for n, v in conn.settings.items())}"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("%", "%%")
    return f"E'{escaped}'"
