"""Check that this system can work with a database. Each error is a sentence that says how to fix it."""

from __future__ import annotations

import re

from psycopg2 import errorcodes

from db.database import database, rows

OLDEST = 14  # version of PostgreSQL
ANOTHER = "use another database, or a schema of its own (CREATE SCHEMA notify, and ?schema=notify in DATABASE_URL)"
_EXISTS = (
    *(errorcodes.DUPLICATE_TABLE, errorcodes.DUPLICATE_OBJECT, errorcodes.DUPLICATE_FUNCTION),
    *(errorcodes.DUPLICATE_COLUMN, errorcodes.INVALID_FUNCTION_DEFINITION, errorcodes.WRONG_OBJECT_TYPE),
    *(errorcodes.UNDEFINED_COLUMN, errorcodes.UNDEFINED_TABLE, errorcodes.UNDEFINED_OBJECT),
    *(errorcodes.UNDEFINED_FUNCTION, errorcodes.DATATYPE_MISMATCH, errorcodes.INVALID_COLUMN_REFERENCE),
    *(errorcodes.INVALID_OBJECT_DEFINITION, errorcodes.INVALID_TABLE_DEFINITION, errorcodes.SYNTAX_ERROR),
)
# Errors of libpq and poolers when a connection fails, and what to do. The server may write in another language.
_ADVICE = {
    r"database .* does not exist|no such database": "create it "
    "(CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C'), or name another in DATABASE_URL",
    r"password authentication failed|no password supplied|SASL authentication failed|role .* does not exist"
    r"|no such user": "correct the user and password in DATABASE_URL",
    r"no pg_hba\.conf entry": "allow it in pg_hba.conf, or add ?sslmode=require to DATABASE_URL",
    r"does not support SSL": "set ssl = on in postgresql.conf, or write sslmode=disable where the network is private",
    r"invalid \w+ value|invalid \w+ value .* for connection option|definition of service": "correct that option "
    "in DATABASE_URL",
    r"unsupported startup parameter": "leave out of options, in DATABASE_URL and PGOPTIONS, what is not -cNAME=VALUE; "
    "where it is off, ALTER ROLE name SET standard_conforming_strings = on",
    r"statement pooling mode": "set pool_mode to transaction or session, or give DATABASE_URL without the pooler",
    r"permission denied for database": "GRANT CONNECT ON DATABASE to this role",
}


class Unusable(Exception):
    """The database cannot be used as it is; the message says what to do."""


def check(*, writing: bool = True) -> None:
    """Check that this server, database and schema can hold our tables. Call within `connection()`.

    Raises:
        Unusable: they cannot; with `writing`, also if the server takes no writes.
    """
    # A transaction, because some poolers have none.
    with database.atomic():
        [found] = rows(
            "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
            " current_database(), current_user, current_schema(), current_setting('search_path'),"
            " pg_is_in_recovery(), current_setting('transaction_read_only')::bool"
        )
    version, encoding, name, role, schema, path, replica, read_only = found
    if version < OLDEST:
        raise Unusable(f"the server is PostgreSQL {version}, which is too old: use {OLDEST} or newer")
    if encoding != "UTF8":
        raise Unusable(
            f"the database {name} has the encoding {encoding}, which cannot hold every text: create one with "
            f"CREATE DATABASE another ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C', and name it in DATABASE_URL"
        )
    if schema is None:
        raise Unusable(
            f"no schema of the search_path {path or 'that is empty'} exists and may be used by the role {role}: "
            f"CREATE SCHEMA, GRANT USAGE, CREATE ON SCHEMA to it, or write ?schema=NAME in DATABASE_URL"
        )
    if writing and replica:
        raise Unusable("the server is a replica, which takes no writes: give the primary in DATABASE_URL")
    if writing and read_only:
        raise Unusable(
            "the server takes no writes: end default_transaction_read_only (for the role, the database, or in "
            "DATABASE_URL), or give another server"
        )


def check_may_create() -> None:
    """Check that this role may create tables in the schema. Raises Unusable."""
    [(may, schema, role)] = rows(
        "SELECT has_schema_privilege(current_schema(), 'CREATE'), quote_ident(current_schema()),"
        " quote_ident(current_user)"
    )
    if not may:
        raise Unusable(
            f"the role {role} may not make tables in the schema {schema}: as its owner run "
            f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"
        )


def check_may_write() -> None:
    """Check that this role may read and write notifications. Raises Unusable."""
    [(may, schema, role)] = rows(
        "SELECT bool_and(has_table_privilege('notifications', privilege)), quote_ident(current_schema()),"
        " quote_ident(current_user) FROM unnest('{SELECT,INSERT,UPDATE}'::text[]) AS privilege"
    )
    if not may:
        raise Unusable(
            f"the role {role} may not read and write notifications: let it own the tables, or run "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
        )


def refused(error: Exception, doing: str) -> Unusable:
    """Return the server's refusal of a statement as a sentence that begins with `doing`, which says what failed."""
    orig = getattr(error, "orig", error)
    code = getattr(orig, "pgcode", None)
    said = (str(error).strip().splitlines() or ["refused"])[0]
    if code == errorcodes.INSUFFICIENT_PRIVILEGE:
        return Unusable(
            f"{doing} ({said}): run it as the role that owns the schema and its tables, or grant that to this one"
        )
    if code in _EXISTS:
        return Unusable(f"{doing} ({said}): another system's object has a name that this one needs: {ANOTHER}")
    return Unusable(f"{doing} ({said}): see PostgreSQL's log")


def advised(said: str) -> str:
    """Return the error of a failed connection, with what to do about it if that is known."""
    advice = next((fix for pattern, fix in _ADVICE.items() if re.search(pattern, said)), None)
    return f"{said}: {advice}" if advice else said
