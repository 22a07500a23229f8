"""Races on real connections: threads that a barrier lets go at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from db.database import connection, database

ROUNDS = 25

# One thread each, which keeps its connection from race to race: a new one costs PostgreSQL 20 ms.
_racers: list[ThreadPoolExecutor] = []


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each call on a thread and a connection of its own, all let go at the same moment; return their results."""
    while len(_racers) < len(calls):
        _racers.append(ThreadPoolExecutor(1, "racer"))
    barrier = threading.Barrier(len(calls))
    races = [racer.submit(partial(_run, barrier, call)) for racer, call in zip(_racers, calls, strict=False)]
    return [race.result(120) for race in races]


def end() -> None:
    """Close the connections of all races, before `database` is bound to another database."""
    while _racers:
        with _racers.pop() as racer:
            racer.submit(database.close).result()


def _run(barrier: threading.Barrier, call: Callable[[], Any]) -> Any:
    with connection():
        barrier.wait(60)
        return call()
