"""All that is stored about the client or a recipient: export, erasure; and pauses of the client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notification_client.calls import Call, anything, call, path
from notification_client.decoding import Model
from notification_client.errors import ConnectionFailed, UnexpectedAnswer
from notification_client.fields import query
from notification_client.performing import FAILURES, AsyncPerformer, Performer
from notification_client.repeating import Repetition


@dataclass(frozen=True, kw_only=True)
class Erasure(Model):
    """An erasure and its progress: `status` is `stopping`, `erasing` or `done`."""

    id: int
    status: str
    recipient: str
    created_at: datetime
    done_at: datetime | None = None
    cancelled: int = 0
    erased: int = 0
    left: int = 0


@dataclass(frozen=True, kw_only=True)
class Pause(Model):
    """Pause of something: whether it is in force, and since when."""

    kind: str
    name: str
    paused: bool
    since: datetime | None = None


class Export:
    """Lines of one export: splits pieces of the body, and knows where to continue."""

    def __init__(self, recipient: str | None, attachments: bool) -> None:
        self._asked = {"recipient": recipient, "attachments": attachments or None}
        self._after: str | None = None
        self._rest = b""
        self.complete = False

    @property
    def call(self) -> Call[Any]:
        """The request for what was not read yet."""
        return call("GET", path("export"), anything, query=query({**self._asked, "after": self._after}))

    def begin(self) -> Call[Any]:
        """Forget the rest of a connection that broke, and return the request for the next one."""
        self._rest = b""
        return self.call

    def lines(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Yield the lines that this piece completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in filter(None, lines):
            try:
                found = json.loads(line)
                self.complete = found["kind"] == "end"
                self._after = None if self.complete else found["cursor"]
            except (KeyError, TypeError, ValueError) as error:
                raise UnexpectedAnswer("the export has a line that is not one of this API") from error
            if not self.complete:
                yield found

    def check(self) -> None:
        """Raise ConnectionFailed if the answer ended early."""
        if not self.complete:
            raise ConnectionFailed("the export ended early", may_have_arrived=True)


class StoredData:
    """Stored data of the client."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def export(self, recipient: str | None = None, *, attachments: bool = False) -> Iterator[dict[str, Any]]:
        """Yield everything as objects with `kind` and `data`; continues by itself after a broken connection."""
        export = Export(recipient, attachments)
        repetition = Repetition(export.call, self._client.retry_for)
        while not export.complete:
            try:
                with self._client.open(export.begin()) as (_, pieces):
                    for piece in pieces:
                        repetition = Repetition(export.call, self._client.retry_for)
                        yield from export.lines(piece)
                export.check()
            except FAILURES as error:
                time.sleep(repetition.pause(error))

    def erase(self, recipient: str) -> Erasure:
        """Erase what was sent to an address; it goes on at the server until `done`."""
        return self._client.perform(_erase(recipient))

    def erasure(self, id: int) -> Erasure:
        """Return the progress of an erasure."""
        return self._client.perform(_erasure(id))

    def pause(self) -> Pause:
        """Pause the client: notifications are accepted and wait."""
        return self._client.perform(_pausing("PUT"))

    def resume(self) -> Pause:
        """Resume the client."""
        return self._client.perform(_pausing("DELETE"))


class AsyncStoredData:
    """Stored data of the client."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def export(self, recipient: str | None = None, *, attachments: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Yield everything as objects with `kind` and `data`; continues by itself after a broken connection."""
        export = Export(recipient, attachments)
        repetition = Repetition(export.call, self._client.retry_for)
        while not export.complete:
            try:
                async with self._client.open(export.begin()) as (_, pieces):
                    async for piece in pieces:
                        repetition = Repetition(export.call, self._client.retry_for)
                        for line in export.lines(piece):
                            yield line
                export.check()
            except FAILURES as error:
                await asyncio.sleep(repetition.pause(error))

    async def erase(self, recipient: str) -> Erasure:
        """Erase what was sent to an address; it goes on at the server until `done`."""
        return await self._client.perform(_erase(recipient))

    async def erasure(self, id: int) -> Erasure:
        """Return the progress of an erasure."""
        return await self._client.perform(_erasure(id))

    async def pause(self) -> Pause:
        """Pause the client: notifications are accepted and wait."""
        return await self._client.perform(_pausing("PUT"))

    async def resume(self) -> Pause:
        """Resume the client."""
        return await self._client.perform(_pausing("DELETE"))


def _erase(recipient: str) -> Call[Erasure]:
    return call("POST", path("erasures"), Erasure.read, {"recipient": recipient}, repeatable=True)


def _erasure(id: int) -> Call[Erasure]:
    return call("GET", path("erasures", id), Erasure.read)


def _pausing(method: str) -> Call[Pause]:
    return call(method, path("pauses", "client"), Pause.read, repeatable=True)
