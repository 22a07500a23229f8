"""Queries to the database that do not use the product's own code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.eventually import eventually
from tests.sql import Sql


@dataclass(frozen=True)
class Tally:
    """The fate of notifications that were accepted.

    `delivered` counts those whose mail reached the server, `twice` those that it got more than
    once, `recorded` those that are `sent` in the database, `stuck` those that have not ended.
    """

    accepted: int
    delivered: int
    twice: int
    recorded: int
    stuck: int
    attempts: int

    @classmethod
    def perfect(cls, count: int) -> Tally:
        """Every one delivered exactly once, at the first attempt."""
        return cls(accepted=count, delivered=count, twice=0, recorded=count, stuck=0, attempts=count)


class Queries:
    """Queries to one database, in autocommit mode."""

    def __init__(self, database_url: str) -> None:
        self._sql = Sql(database_url)

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self._sql.rows(sql, *parameters)

    def statuses(self, ids: list[int]) -> Counter[str]:
        """Return the number of these notifications in each status."""
        found = self.rows("SELECT status, count(*) FROM notifications WHERE id = ANY(%s) GROUP BY status", ids)
        return Counter(dict(found))

    def unfinished(self, ids: list[int]) -> list[tuple[Any, ...]]:
        """Those of these that have not ended, with what a person would want to know."""
        return self.rows(
            "SELECT id, status, attempt_count, claim, next_attempt_at - now(), dispatch_after - now(),"
            " now() - claimed_at, last_error FROM notifications"
            " WHERE id = ANY(%s) AND status IN ('pending', 'processing') ORDER BY id LIMIT 20",
            ids,
        )

    def attempts(self, ids: list[int]) -> int:
        """Return the number of attempts that these took in all."""
        return int(self.rows("SELECT count(*) FROM attempts WHERE notification_id = ANY(%s)", ids)[0][0])

    def worker_pids(self) -> set[int]:
        """Pids of the worker processes that have reported."""
        return {pid for (pid,) in self.rows("SELECT pid FROM workers")}


def wait_past_stuck_after(run: Callable[..., list[tuple[Any, ...]]]) -> None:
    """Make what has an outcome that cannot be recorded look claimed an hour and a half ago; let rescues judge it.

    `run` asks the database. STUCK_AFTER is an hour, and rescue goes by the database's clock. What a worker has not
    begun it hands back in time by its own clock, which no test can put forward.
    """
    long_ago = "claimed_at = claimed_at - interval '90 minutes'"
    kept = "SELECT unnest(unrecorded) FROM workers"
    eventually(lambda: run(f"UPDATE notifications SET {long_ago} WHERE id IN ({kept}) RETURNING 1"), within=30)
    # A rescue judges once its own worker has been steady for WORKER_TIMEOUT, and the one that it judges seen since.
    steady = "SELECT bool_and(steady_since < now() - 2 * timeout * interval '1 second') FROM workers"
    eventually(lambda: run(steady) == [(True,)], within=60)
    [(since,)] = run("SELECT now()")
    seen = "SELECT bool_and(seen_at > %s::timestamptz + interval '2 seconds') FROM workers"
    eventually(lambda: run(seen, since) == [(True,)], within=60)
