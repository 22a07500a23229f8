"""Statements that PostgreSQL plans once for each connection: to plan one costs as much as to store ten rows.

Their plan is made without values. PostgreSQL makes it anew when a table is analyzed, and at no other
time: the plan of an empty table is still in use when a million rows are in it. SAFELY sees to that.
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
# Sent before each of these statements, in the same message and so in the same transaction, as PostgreSQL may make the
# plan at any execution. For an empty table it would choose to read the whole table, and keep that plan as it grows.
# Before PostgreSQL 18 a plan that cannot avoid a sequential scan costs 10^10, which with JIT on compiles it at each
# execution. So every part of these statements has an index to use, small tables by an ORDER BY of their key.
SAFELY = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off; "
MOST = 64  # of a connection; what comes in more shapes is planned each time


class _Plans:
    """What one connection has prepared: by its SQL how to execute it, None for what came only once."""

    works = True  # of all connections: where there is a pooler between, it may not

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def execution(self, what: str, sql: str) -> str | None:
        """How to execute this; None while it is not worth it."""
        if known := self._known.get(sql):
            return known
        if sql not in self._known:
            if len(self._known) < MOST:
                self._known[sql] = None
            return None
        # Of the text: whoever finds the name taken finds the same statement.
        name, numbers = f"{what}_{hashlib.sha256(sql.encode()).hexdigest()[:16]}", count(1)
        rows(f"PREPARE {name} AS " + re.sub("%s", lambda _: f"${next(numbers)}", sql))
        self._known[sql] = f"EXECUTE {name} ({', '.join(['%s'] * sql.count('%s'))})"
        return self._known[sql]


_plans: WeakKeyDictionary[Any, _Plans] = WeakKeyDictionary()


def prepared(what: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """As `rows`, for a statement of a few shapes that comes often; in a transaction it is the same.

    `what` it does is how pg_stat_activity calls it.
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
        # A pooler gave us another session (PgBouncer, pool_mode = transaction): nothing happened, and it would again.
        _Plans.works = False
        return rows(SAFELY + sql, *parameters)


def _array(values: Sequence[object]) -> str:
    """As PostgreSQL reads an array from text: quicker than one of SQL expressions, and without a type of its own."""
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
