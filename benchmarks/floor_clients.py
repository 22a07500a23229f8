"""What stands in for pgbench and redis-benchmark where they are not installed."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import psycopg2
import redis

PIPELINE = 100


def inserts(url: str, statement: str, clients: int, seconds: float) -> float:
    """Statements per second, each with its commit, from so many threads. Python takes its share of the CPU."""
    done: list[int] = []
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=_insert, args=(url, statement, deadline, done)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def pushes(client: redis.Redis, count: int) -> float:
    """RPUSHes per second of one client that sends PIPELINE at a time."""
    begun = time.monotonic()
    for _ in range(count // PIPELINE):
        with client.pipeline(transaction=False) as pipe:
            for _ in range(PIPELINE):
                pipe.rpush("floor", "x")
            pipe.execute()
    client.delete("floor")
    return count // PIPELINE * PIPELINE / (time.monotonic() - begun)


def _insert(url: str, statement: str, deadline: float, done: list[int]) -> None:
    count = 0
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute(statement)
                count += 1
    done.append(count)
