"""Posts notifications over several connections and remembers what was answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Self

from tests.client import NOTIFICATIONS, Client, Response


class Load:
    """Posts one notification to each of `recipients` in background threads, until `stop()` or the end.

    `accepted` are those answered with 201; an answer of another kind, or none, is in `refused`.
    A recipient is never tried twice. `fields` go into each notification.
    """

    def __init__(self, port: int, recipients: Iterator[str], connections: int = 8, **fields: object) -> None:
        self.accepted: dict[int, str] = {}
        self.refused: list[str] = []
        self.replayed: list[int] = []
        self.slowest = 0.0
        self._port, self._recipients, self._fields = port, recipients, fields
        self._taking = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]

    @property
    def running(self) -> bool:
        """True while it still posts."""
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> Self:
        """Begin to post."""
        for thread in self._threads:
            thread.start()
        return self

    def finish(self) -> Self:
        """Wait until all is posted."""
        for thread in self._threads:
            thread.join()
        return self

    def stop(self) -> Self:
        """Post no more, and wait for the answers under way."""
        self._stopping.set()
        return self.finish()

    def _run(self) -> None:
        with Client(self._port) as client:
            while not self._stopping.is_set() and (recipient := self._next()):
                self._bring(client, recipient)

    def _next(self) -> str | None:
        with self._taking:
            return next(self._recipients, None)

    def _bring(self, client: Client, recipient: str) -> None:
        self._post(client, recipient)

    def _document(self, recipient: str) -> dict[str, object]:
        return {"type": "email", "recipient": recipient, "message": "Hello", **self._fields}

    def _post(self, client: Client, recipient: str, **headers: str) -> Response | None:
        began = time.monotonic()
        try:
            answer = client.post(NOTIFICATIONS, self._document(recipient), **headers)
        except ConnectionError as error:
            self.refused.append(str(error))
            # Nobody listens: in a tight loop the load would starve what it waits for.
            time.sleep(0.05)
            return None
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status == 201:
            self.accepted[answer.json["id"]] = recipient
        else:
            self.refused.append(f"{answer.status} {answer.raw!r}")
        return answer


class PersistentLoad(Load):
    """Each request has an Idempotency-Key and is repeated until there is a 201.

    `replayed` are those that turned out to have been stored before.
    """

    def _bring(self, client: Client, recipient: str) -> None:
        answer = None
        while answer is None or answer.status != 201:
            answer = self._post(client, recipient, idempotency_key=recipient)
        if "idempotent-replayed" in answer.headers:
            self.replayed.append(answer.json["id"])
