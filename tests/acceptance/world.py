"""The system with its mail server, and the checks that tests make of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import redis

from tests.eventually import eventually
from tests.load import Load
from tests.queries import Tally
from tests.smtp import SmtpServer
from tests.system import System

QUEUE, DELAYED = QUEUES = ("notifications", "notifications.DQ")
HEARTBEAT = 3  # seconds; a consumer that lives is heard of every second
_numbers = count(1)


class World:
    """The system and its mail server, as a test of the whole uses them."""

    def __init__(self, system: System, mail_server: SmtpServer) -> None:
        self.system, self.mail_server = system, mail_server

    def recipients(self, most: int | None = None) -> Iterator[str]:
        """Addresses that no other test uses."""
        numbers = count() if most is None else range(most)
        return (f"r{next(_numbers)}@recipient.example" for _ in numbers)

    def recipient(self) -> str:
        """One such address."""
        return next(self.recipients(1))

    def post(self, count: int, connections: int = 8, **fields: object) -> dict[int, str]:
        """Post so many notifications; returns recipients by id. All must be accepted."""
        load = Load(self.system.port, self.recipients(count), connections, **fields).start().finish()
        assert load.refused == []
        return load.accepted

    def post_one(self, recipient: str, **fields: object) -> int:
        """Post one notification that must be accepted; returns its id."""
        answer = self.system.client.notify(recipient, **fields)
        assert answer.status == 201, answer
        return int(answer.json["id"])

    def ended(self, id: int, within: float = 15.0) -> Any:
        """Wait for a notification's end and return it."""

        def end() -> Any:
            notification = self.system.client.notification(id)
            return notification if notification["finishedAt"] else None

        return eventually(end, within, saying=lambda: self.system.sql.unfinished([id]))

    def tally(self, accepted: Mapping[int, str], within: float = 30.0) -> Tally:
        """Wait until all that was accepted has ended and no wake-up message is left that could wake it, then count."""
        self.wait_for_the_end(accepted, within)
        eventually(lambda: self.wake_ups() == 0, within=10, saying="messages that wait or are in workers' hands")
        return self.count(accepted)

    def wait_for_the_end(self, accepted: Mapping[int, str], within: float = 30.0) -> None:
        """Return when none of these is pending or processing."""
        ids, sql = list(accepted), self.system.sql
        eventually(lambda: not sql.unfinished(ids), within, saying=lambda: sql.unfinished(ids), every=0.1)

    def count(self, accepted: Mapping[int, str]) -> Tally:
        """Return the tally of these so far, at the mail server and in the database."""
        ids, sql = list(accepted), self.system.sql
        copies = Counter(to for mail in self.mail_server.mails for to in mail.recipients)
        received = [copies[recipient] for recipient in accepted.values()]
        return Tally(
            accepted=len(accepted),
            delivered=sum(n >= 1 for n in received),
            twice=sum(n > 1 for n in received),
            recorded=sql.statuses(ids)["sent"],
            stuck=len(sql.unfinished(ids)),
            attempts=sql.attempts(ids),
        )

    def queued(self, queue: str) -> int:
        """Messages that no worker has fetched."""
        with redis.Redis.from_url(self.system.environ["REDIS_URL"]) as client:
            return int(client.llen(f"dramatiq:{queue}"))

    def dead_letters(self) -> int:
        """Return how many messages Dramatiq has given up."""
        with redis.Redis.from_url(self.system.environ["REDIS_URL"]) as client:
            return int(client.zcard(f"dramatiq:{QUEUE}.XQ"))

    def wake_ups(self) -> int:
        """Messages that wait in Redis or are in the hands of a worker that lives, delayed ones included."""
        with redis.Redis.from_url(self.system.environ["REDIS_URL"], decode_responses=True) as client:
            seconds, _ = client.time()
            living = client.zrangebyscore("dramatiq:__heartbeats__", (seconds - HEARTBEAT) * 1000, "+inf")
            waiting = sum(client.llen(f"dramatiq:{queue}") for queue in QUEUES)
            acks = [f"dramatiq:__acks__.{worker}.{queue}" for worker in living for queue in QUEUES]
            return int(waiting + sum(client.scard(key) for key in acks))
