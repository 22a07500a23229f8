"""Helpers for the tests of the connection lease."""

from __future__ import annotations

import json

import redis

from actors.channels.lease import ConnectionLease

MAIL = "mail.example.com:587"
KEY = f"ours:connections:{MAIL}"
ROUNDS = 4  # of renewals after which nothing moves any more


class Process:
    """A worker process that opens what it is granted and closes what it is not, one renewal later."""

    def __init__(self, client: redis.Redis, connections: int = 20, wanted: int = 1_000) -> None:
        self.lease = ConnectionLease(client, lambda: "ours", MAIL, connections)
        self.wanted, self.open = wanted, 0

    def renew(self, most: int | None = None) -> int:
        """Renew, and open or close at once."""
        granted = self.lease.renew(self.wanted, self.open, most)
        self.open = min(granted, self.wanted)
        return granted


def turns(processes: list[Process], rounds: int = ROUNDS, bound: int | None = None) -> list[int]:
    """Let all renew in turn; return what each has open in the end. More than `bound` is never open."""
    for _ in range(rounds):
        for process in processes:
            process.renew()
            assert bound is None or sum(other.open for other in processes) <= bound
    return [process.open for process in processes]


def stored(client: redis.Redis) -> dict[str, dict[str, float]]:
    return dict(json.loads(client.get(KEY) or "{}").get("processes", {}))
