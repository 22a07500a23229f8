"""Counts of wake-up messages, taken in Redis itself."""

from __future__ import annotations

import re
import threading
from typing import Self

import redis

from tests.eventually import eventually

ARGS = re.compile(r'"args":\s*\[\[([\d, ]*)\]\]')
QUEUE = "dramatiq:notifications"


class WakeUps:
    """While entered: counts the ids in every message that is put into a queue, and what Redis holds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.enqueued = self.longest = self.memory = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._weigh)]
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        eventually(self._listening.is_set)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with redis.Redis.from_url(self._url) as client:
            client.ping()  # Wakes the listener.
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        with redis.Redis.from_url(self._url, socket_timeout=None) as client, client.monitor() as monitor:
            self._listening.set()
            while not self._over.is_set():
                command = str(monitor.next_command()["command"])
                # Messages come by HSET; from a script in lower case, and from ours in upper case.
                if command[:5].lower() == "hset " and ".msgs" in command[:80]:
                    self.enqueued += sum(len(ids.split(",")) for ids in ARGS.findall(command.replace("\\", "")))

    def _weigh(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            while not self._over.wait(0.1):
                self.longest = max(self.longest, int(client.llen(QUEUE)))
                self.memory = max(self.memory, int(client.info("memory")["used_memory"]))
