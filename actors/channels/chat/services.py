"""Chat services that take one POST for each message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Protocol
from urllib.parse import urlsplit

from actors.channels import Receipt
from actors.channels.chat import discord, slack, teams, telegram
from actors.channels.chat.message import Message
from actors.channels.chat.telegram import ChatMoved
from actors.channels.destination_provider import Turn
from actors.channels.webhook.http_client import Answer, Request
from db import destinations
from db.database import Unavailable, connection, database
from db.destinations import Address
from db.records import Claimed
from runtime import logs

log = logs.get("chat")


class Api(Protocol):
    """Module of one service."""

    def request(self, message: Message, destination: Address) -> Request:
        """Return the request that posts a message; raise Undelivered if the service cannot take it."""

    def judge(self, answer: Answer) -> Receipt:
        """Return the receipt, or raise what the answer means."""


class Service:
    """Kind of destinations that one module knows. `pause`: the seconds to wait after a message that was posted."""

    def __init__(self, api: Api, pause: Callable[[Answer], float] | None = None) -> None:
        self._api, self._pause = api, pause

    async def send(self, notification: Claimed, destination: Address, turn: Turn) -> Receipt:
        request = self._api.request(Message.of(notification), destination)
        answer = _masked(await turn.post(request), destination)
        try:
            receipt = self._api.judge(answer)
        except ChatMoved as moved:
            await asyncio.to_thread(_move, destination, moved.chat_id)
            raise
        if self._pause and (wait := self._pause(answer)):
            turn.pause(wait)
        return receipt


SERVICES = {
    "slack": Service(slack),
    "discord": Service(discord, discord.pause),
    "telegram": Service(telegram),
    "teams": Service(teams),
}


def _masked(answer: Answer, destination: Address) -> Answer:
    """Return the answer without the secrets of the destination, which it may repeat: it is stored and shown."""
    parts = urlsplit(destination.url)
    body = answer.body
    for secret in (destination.token, destination.url, f"{parts.path}?{parts.query}", parts.path):
        if secret and len(secret.strip("/?")) > 1:
            body = body.replace(secret.encode(), b"***")
    return answer._replace(body=body)


def _move(destination: Address, chat_id: str) -> None:
    try:
        # This runs in a thread pool whose threads keep no connection.
        with closing(database), connection():
            destinations.move_chat(destination.id, destination.chat_id or "", chat_id)
        log.info("destination.moved", destination=destination.id)
    except Unavailable:  # The next attempt learns it again.
        log.warning("destination.not_moved", destination=destination.id)
