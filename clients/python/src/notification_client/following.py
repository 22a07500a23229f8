"""Streams over any number of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from notification_client.calls import Call
from notification_client.models import Change
from notification_client.performing import FAILURES, AsyncPerformer, Performer
from notification_client.repeating import Repetition
from notification_client.sse import Following


def follow(client: Performer, stream: Call[Any], resume_from: str | None) -> Iterator[Change]:
    """Yield the changes of a stream; raise if the API is away for longer than the client's `retry_for`."""
    following, repetition = Following(stream, resume_from), Repetition(stream, client.retry_for)
    while not following.finished:
        following.begin()
        try:
            with client.open(following.request) as (head, pieces):
                if head.status != 200:  # 204 to whoever comes back after the end
                    return
                for piece in pieces:
                    repetition = Repetition(stream, client.retry_for)
                    yield from following.changes(piece)
            pause = following.reconnect
        except FAILURES as error:
            pause = repetition.pause(error)
        if not following.finished:
            time.sleep(pause)


async def follow_async(client: AsyncPerformer, stream: Call[Any], resume_from: str | None) -> AsyncIterator[Change]:
    """Yield the changes of a stream; raise if the API is away for longer than the client's `retry_for`."""
    following, repetition = Following(stream, resume_from), Repetition(stream, client.retry_for)
    while not following.finished:
        following.begin()
        try:
            async with client.open(following.request) as (head, pieces):
                if head.status != 200:  # 204 to whoever comes back after the end
                    return
                async for piece in pieces:
                    repetition = Repetition(stream, client.retry_for)
                    for change in following.changes(piece):
                        yield change
            pause = following.reconnect
        except FAILURES as error:
            pause = repetition.pause(error)
        if not following.finished:
            await asyncio.sleep(pause)
