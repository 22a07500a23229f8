"""Statements that PostgreSQL plans now and then instead of each time: to plan one costs as much as to store ten rows.

A plan is used for PLANS_LAST seconds at most, so that none outlives by much the tables it was made for:
one that was right for twenty suppressions would read all of a million.
"""

from __future__ import annotations

import re
import time
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from peewee import OperationalError
from psycopg2.errors import InvalidSqlStatementName

from db.database import database, rows

PLANS_LAST = 1.0  # seconds
MOST = 32  # of a connection; what comes in more shapes is planned each time
_PARAMETER = re.compile(r"%s((?:::[a-z]+(?:\[\])?)?)")


class _Plans:
    """What one connection has prepared: by its SQL how to execute it, None for what came only once."""

    works = True  # of all connections: where there is a pooler between, it may not
    _prefix, _numbers = f"plan_{uuid4().hex[:12]}", count()

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}
        self._since = time.monotonic()

    def forget_old(self) -> None:
        now = time.monotonic()
        if now - self._since > PLANS_LAST:
            if any(self._known.values()):
                rows("DEALLOCATE ALL")
            self._known.clear()
            self._since = now

    def execution(self, sql: str) -> str | None:
        """How to execute this; None while it is not worth it."""
        if known := self._known.get(sql):
            return known
        if sql not in self._known:
            if len(self._known) < MOST:
                self._known[sql] = None
            return None
        name, numbers = f"{self._prefix}_{next(self._numbers)}", count(1)
        rows(f"PREPARE {name} AS " + _PARAMETER.sub(lambda found: f"${next(numbers)}{found[1]}", sql))
        # An array of texts becomes one of another type only where it says so.
        arguments = ", ".join(f"%s{cast}" for cast in _PARAMETER.findall(sql))
        self._known[sql] = f"EXECUTE {name} ({arguments})"
        return self._known[sql]


_plans: WeakKeyDictionary[Any, _Plans] = WeakKeyDictionary()


def prepared_rows(sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """As `rows`, for a statement of a few shapes that comes often; in a transaction it is the same."""
    if database.in_transaction() or not _Plans.works:
        return rows(sql, *parameters)
    conn = database.connection()
    plans = _plans.get(conn) or _plans.setdefault(conn, _Plans())
    plans.forget_old()
    execution = plans.execution(sql)
    if execution is None:
        return rows(sql, *parameters)
    try:
        return rows(execution, *parameters)
    except OperationalError as error:
        if not isinstance(getattr(error, "orig", None), InvalidSqlStatementName):
            raise
        # A pooler gave us another session (PgBouncer, pool_mode = transaction): nothing happened, and it would again.
        _Plans.works = False
        return rows(sql, *parameters)
