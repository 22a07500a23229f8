"""Replacements for pgbench and redis-benchmark where they are not installed."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import psycopg2
import redis

PIPELINE = 100


def inserts(url: str, statement: str, clients: int, seconds: float) -> float:
    """Return the committed statements per second from `clients` threads. Python uses a part of the CPU time."""
    done: list[int] = []
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=_insert, args=(url, statement, deadline, done)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def pushes(client: redis.Redis, count: int) -> float:
    """Return the RPUSH commands per second of one client, with PIPELINE commands in a pipeline."""
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
