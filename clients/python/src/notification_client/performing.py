"""How calls are performed: repeated where that is safe, page after page, or as a stream."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from notification_client.calls import Answer, Call, Pages
from notification_client.endpoint import Endpoint
from notification_client.errors import ApiError, ConnectionFailed
from notification_client.repeating import Repetition
from notification_client.transport_urllib3 import Urllib3Transport

T = TypeVar("T")
TIMEOUT = 10.0  # seconds for one answer
RETRY_FOR = 30.0  # seconds for a call with its repetitions
FAILURES = (ApiError, ConnectionFailed)


class Performer:
    """Performs calls and waits for them. Threads may share it. A context manager that closes its connections."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retry_for: float = RETRY_FOR,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.endpoint, self.retry_for = Endpoint(base_url, key, timeout, ssl_context), retry_for
        self._transport = Urllib3Transport(self.endpoint)

    def perform(self, call: Call[T]) -> T:
        """Return the result of a call; raise ApiError, ConnectionFailed or UnexpectedAnswer."""
        repetition = Repetition(call, self.retry_for)
        while True:
            try:
                answer = self._transport.exchange(call)
                if answer.ok:
                    return call.read(answer)
                raise answer.error()
            except FAILURES as error:
                time.sleep(repetition.pause(error))

    def pages(self, pages: Pages[T]) -> Iterator[T]:
        """Yield every item of a list; a page is read when its first item is needed."""
        cursor: str | None = None
        while True:
            page = self.perform(pages(cursor))
            yield from page.items
            cursor = page.cursor
            if cursor is None:
                return

    @contextmanager
    def open(self, call: Call[Any]) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Yield the head of a successful answer and its body piece by piece; nothing is repeated."""
        with self._transport.stream(call) as (head, pieces):
            if not head.ok:
                raise head.error()
            yield head, pieces

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint.base_url!r})"


class AsyncPerformer:
    """Performs calls in an event loop. An asynchronous context manager that closes its connections."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retry_for: float = RETRY_FOR,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        try:
            from notification_client.transport_aiohttp import AiohttpTransport  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ImportError("AsyncClient needs aiohttp: pip install 'notification-client[async]'") from error
        self.endpoint, self.retry_for = Endpoint(base_url, key, timeout, ssl_context), retry_for
        self._transport = AiohttpTransport(self.endpoint)

    async def perform(self, call: Call[T]) -> T:
        """Return the result of a call; raise ApiError, ConnectionFailed or UnexpectedAnswer."""
        repetition = Repetition(call, self.retry_for)
        while True:
            try:
                answer = await self._transport.exchange(call)
                if answer.ok:
                    return call.read(answer)
                raise answer.error()
            except FAILURES as error:
                await asyncio.sleep(repetition.pause(error))

    async def pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Yield every item of a list; a page is read when its first item is needed."""
        cursor: str | None = None
        while True:
            page = await self.perform(pages(cursor))
            for item in page.items:
                yield item
            cursor = page.cursor
            if cursor is None:
                return

    @asynccontextmanager
    async def open(self, call: Call[Any]) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """Yield the head of a successful answer and its body piece by piece; nothing is repeated."""
        async with self._transport.stream(call) as (head, pieces):
            if not head.ok:
                raise head.error()
            yield head, pieces

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint.base_url!r})"
