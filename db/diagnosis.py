"""Facts about the database server, for `notify doctor`. Call within `connection()`.

Only reads, and none whose cost grows with the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.database import rows


class Server(NamedTuple):
    """The server. `version`: 140_005 is 14.5. `replica`: it takes no writes. `clear`: the connection is unencrypted."""

    version: int
    release: str
    replica: bool
    clear: bool


class Headroom(NamedTuple):
    """Room within the server's limits.

    `left`: connections for this user and database. `longest`: seconds that the oldest transaction has been open.
    `age`: of the oldest transaction number in the tables; at 2,100 million the server stops.
    """

    left: int
    longest: float
    age: int


def server() -> Server:
    """Return the server's version, role and encryption."""
    [found] = rows(
        "SELECT current_setting('server_version_num')::int, split_part(current_setting('server_version'), ' ', 1),"
        " pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,"
        # A Unix socket has no address.
        " inet_server_addr() IS NOT NULL AND NOT inet_server_addr() <<= ANY('{127.0.0.0/8,::1/128}'::inet[])"
        " AND NOT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
    )
    return Server(*found)


def clock() -> float:
    """Return the database's time in seconds since 1970."""
    [(now,)] = rows("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(now)


def in_force(names: Sequence[str]) -> dict[str, str]:
    """Return the values of these server settings in our session; settings that the server lacks are left out."""
    found = rows("SELECT name, current_setting(name, true) FROM unnest(%s::text[]) AS name", list(names))
    return {name: value for name, value in found if value is not None}


def room() -> Headroom:
    """Return the room within the server's limits."""
    [found] = rows(
        """
        WITH clients AS MATERIALIZED (
            SELECT datname, usename, xact_start, pid FROM pg_stat_activity WHERE backend_type = 'client backend'
        )
        SELECT least(
                   current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                       - coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int
                       - (SELECT count(*) FROM clients),
                   nullif(d.datconnlimit, -1) - (SELECT count(*) FROM clients WHERE datname = d.datname),
                   nullif(r.rolconnlimit, -1) - (SELECT count(*) FROM clients WHERE usename = r.rolname)),
               coalesce((SELECT extract(epoch FROM now() - min(xact_start))::float8 FROM clients
                         WHERE datname = d.datname AND pid <> pg_backend_pid()), 0),
               age(d.datfrozenxid)
        FROM pg_database AS d, pg_roles AS r WHERE d.datname = current_database() AND r.rolname = current_user
        """
    )
    return Headroom(*found)


def forbidden() -> list[str]:
    """Return our tables that this user may not read and write."""
    return _tables(
        "NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')"
        " AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))"
    )


def not_owned() -> list[str]:
    """Return our tables that this user does not own. Only an owner can migrate, and create and drop blocks."""
    return _tables("NOT pg_has_role(c.relowner, 'USAGE')")


def _tables(condition: str) -> list[str]:
    found = rows(
        f"""
        SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('notifications'))
              AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND {condition}
        ORDER BY c.relname
        """
    )
    return [name for (name,) in found]


def data_directory() -> str | None:
    """Return the server's data directory, or None if we may not see it."""
    sql = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
    return next((place for (place,) in rows(sql)), None)


def on_this_machine() -> bool:
    """Return whether the server runs on this machine."""
    [(local,)] = rows(
        "SELECT inet_server_addr() IS NULL OR inet_server_addr() <<= ANY('{127.0.0.0/8,::1/128}'::inet[])"
    )
    return bool(local)


def keyed() -> bool:
    """Return whether there is a key that works."""
    [(found,)] = rows(
        "SELECT EXISTS (SELECT FROM keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"
    )
    return bool(found)
