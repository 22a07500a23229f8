"""Prepared statements, which PostgreSQL plans once for each connection: a plan costs as much as ten stored rows.

Such a plan is made without values. PostgreSQL makes it anew only when a table is analyzed, so the plan for an empty
table is still in use when the table has a million rows. SAFELY keeps such plans cheap.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from peewee import OperationalError, ProgrammingError
from psycopg2.errors import DuplicatePreparedStatement, InvalidSqlStatementName

from db.database import database, rows

_NUMBERS = frozenset({int, float, bool})
# Goes before each of these statements, in the same message and so in the same transaction, because PostgreSQL may make
# the plan at any execution. For an empty table it would choose to read the whole table, and keep that plan as it grows.
# Before PostgreSQL 18 a plan that cannot avoid a sequential scan costs 10^10, so that with JIT on each execution
# compiles it. So every part of these statements has an index to use; for small tables, an ORDER BY of their key.
SAFELY = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off; "
MOST = 64  # prepared statements of a connection; further ones are planned each time


class _Plans:
    """The prepared statements of a connection: how to execute each SQL, or None if it came only once so far."""

    works = True  # for all connections; False once a pooler was seen to change sessions

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def execution(self, what: str, sql: str) -> str | None:
        """Return the EXECUTE for a statement; None if it is not worth preparing yet."""
        if known := self._known.get(sql):
            return known
        if sql not in self._known:
            if len(self._known) < MOST:
                self._known[sql] = None
            return None
        # The name is a digest of the text, so if it is taken, it is taken by the same statement.
        name, numbers = f"{what}_{hashlib.sha256(sql.encode()).hexdigest()[:16]}", count(1)
        rows(f"PREPARE {name} AS " + re.sub("%s", lambda _: f"${next(numbers)}", sql))
        self._known[sql] = f"EXECUTE {name} ({', '.join(['%s'] * sql.count('%s'))})"
        return self._known[sql]


_plans: WeakKeyDictionary[Any, _Plans] = WeakKeyDictionary()


def prepared(what: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a frequent statement like `rows`, prepared if it came before; within a transaction it is not prepared.

    `what` names the statement in pg_stat_activity.
    """
    if database.in_transaction():
        return rows(sql, *parameters)
    if not _Plans.works:
        return rows(SAFELY + sql, *parameters)
    conn = database.connection()
    plans = _plans.get(conn) or _plans.setdefault(conn, _Plans())
    try:
        execution = plans.execution(what, sql)
        if execution is None:
            return rows(SAFELY + sql, *parameters)
        return rows(SAFELY + execution, *(_array(p) if isinstance(p, (list, tuple)) else p for p in parameters))
    except (OperationalError, ProgrammingError) as error:
        if not isinstance(getattr(error, "orig", None), (InvalidSqlStatementName, DuplicatePreparedStatement)):
            raise
        # A pooler gave us another session (PgBouncer, pool_mode = transaction). Nothing happened; do not prepare again.
        _Plans.works = False
        return rows(SAFELY + sql, *parameters)


def _array(values: Sequence[object]) -> str:
    """Return an array as text. PostgreSQL reads it faster than an ARRAY expression, and infers its type."""
    if _NUMBERS.issuperset(map(type, values)):  # True and False are understood too.
        return f"{{{','.join(map(str, values))}}}"
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (bytes, memoryview)):
        value = f"\\x{bytes(value).hex()}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
