"""The cost of work, counted by the servers themselves: SQL statements, transactions, round trips to Redis.

Exact and the same on every machine, whatever library sends it. PostgreSQL's log has a line for each
statement; Redis counts how often it has read from a client. A pipeline is read at once if it was
written at once, as redis-py does with up to 6,000 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg2
import redis
from dramatiq.message import Message

from tests.eventually import eventually

LINE = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] LOG:  (?:statement|execute [^:]+): ?(.*(?:\n\t.*)*)", re.MULTILINE)


class Expense(NamedTuple):
    """`statements` are round trips to PostgreSQL, BEGIN and COMMIT among them; `trips` are those to Redis."""

    statements: int
    transactions: int
    trips: int = 0


class Spending:
    """Counts from the moment it is made."""

    def __init__(self, log: Path, client: redis.Redis) -> None:
        self._log, self._client = log, client
        self._asked = 0
        self._read()  # Who hung up just now is read from once more; by the next question he has been.
        self._asked = 0
        self._from = log.stat().st_size
        self._reads = self._read()

    def until_queued(self, queue: str, notifications: int) -> None:
        """Wait until Redis holds messages for so many of a queue, which happens behind a caller's back."""
        eventually(lambda: self._held(queue) == notifications)

    def total(self, beside: Sequence[str] = ()) -> Expense:
        """Until now, without the statements in which one of `beside` stands."""
        reads = self._read() - self._reads
        trips = reads - (self._asked - 1)  # our own since the first one
        said = [entry for entry in self.statements() if not any(text in entry[1] for text in beside)]
        return Expense(len(said), transactions(said), trips)

    def statements(self) -> list[tuple[str, str]]:
        """The session and the text of each."""
        with self._log.open() as log:
            log.seek(self._from)
            return statements(log.read())

    def _held(self, queue: str) -> int:
        self._asked += 1
        return queued(self._client, queue)

    def _read(self) -> int:
        self._asked += 1
        return int(self._client.info("stats")["total_reads_processed"])


def queued(client: redis.Redis, queue: str) -> int:
    """Return how many notifications the messages of a queue hold; on a busy machine several share one."""
    messages: list[bytes] = client.hvals(f"dramatiq:{queue}.msgs")  # type: ignore[assignment]
    return sum(len(Message.decode(message).args[0]) for message in messages)


def statements(log: str) -> list[tuple[str, str]]:
    """The session and the text of each statement in PostgreSQL's log."""
    return [(found[1], found[2].strip()) for found in LINE.finditer(log)]


def transactions(said: Sequence[tuple[str, str]]) -> int:
    """Return the number of transactions, of which each statement outside of BEGIN and COMMIT is one."""
    count, inside = 0, set[str]()
    for session, text in said:
        verb = text.split(maxsplit=1)[0].rstrip(";").upper()
        if verb == "BEGIN":
            inside.add(session)
        if session not in inside:
            count += 1
        elif verb in ("COMMIT", "ROLLBACK") and " TO " not in text.upper():
            inside.discard(session)
            count += 1
    return count


def log_statements(database_url: str) -> None:
    """From now on, of every new session of this database."""
    with closing(psycopg2.connect(database_url, options="-c log_statement=none")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {connection.info.dbname} SET log_statement = 'all'")


@contextmanager
def unlogged(database_url: str) -> Iterator[psycopg2.extensions.connection]:
    """A connection that counts as nobody's, for what a test does itself."""
    with closing(psycopg2.connect(database_url, options="-c log_statement=none")) as connection:
        yield connection
