"""What the database says of itself, for an operator who looks for what is wrong. Call within `connection()`.

Reads only, and none whose price grows with the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.database import rows


class Server(NamedTuple):
    """`version`: as a number, 140_005 is 14.5. `replica`: it takes no writes. `clear`: the network can read along."""

    version: int
    release: str
    replica: bool
    clear: bool


class Room(NamedTuple):
    """Connections: `left` to this user and database. `longest`: seconds that the oldest transaction has been open."""

    left: int
    longest: float
    age: int


def server() -> Server:
    [found] = rows(
        "SELECT current_setting('server_version_num')::int, split_part(current_setting('server_version'), ' ', 1),"
        " pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,"
        # A socket of the machine's own has no address.
        " inet_server_addr() IS NOT NULL AND NOT inet_server_addr() <<= ANY('{127.0.0.0/8,::1/128}'::inet[])"
        " AND NOT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
    )
    return Server(*found)


def clock() -> float:
    """The database's time: seconds since 1970."""
    [(now,)] = rows("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(now)


def in_force(names: Sequence[str]) -> dict[str, str]:
    """These settings of the server, as they are for us; those that it does not know are left out."""
    found = rows("SELECT name, current_setting(name, true) FROM unnest(%s::text[]) AS name", list(names))
    return {name: value for name, value in found if value is not None}


def room() -> Room:
    """`age` is that of the oldest transaction number in the tables: at 2,100 million the server stops."""
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
    return Room(*found)


def forbidden() -> list[str]:
    """Our tables that this user may not read and write."""
    return _tables(
        "NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')"
        " AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))"
    )


def not_owned() -> list[str]:
    """Our tables that belong to somebody else: to make and to drop blocks, and to migrate, one must own them."""
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
    """Where the server keeps its data, if it tells us."""
    sql = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
    return next((place for (place,) in rows(sql)), None)


def on_this_machine() -> bool:
    [(local,)] = rows(
        "SELECT inet_server_addr() IS NULL OR inet_server_addr() <<= ANY('{127.0.0.0/8,::1/128}'::inet[])"
    )
    return bool(local)


def keyed() -> bool:
    """Whether there is a key that works."""
    [(found,)] = rows(
        "SELECT EXISTS (SELECT FROM keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"
    )
    return bool(found)
