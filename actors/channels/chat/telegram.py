"""Telegram: sendMessage of the Bot API."""

from __future__ import annotations

from typing import Any

import orjson

from actors.channels import Receipt, Throttled, Undelivered, printable
from actors.channels.chat.message import HEADERS, Message
from actors.channels.destination_answers import by_status, document, taken, throttled, undelivered, words
from actors.channels.webhook.http_client import Answer, Request
from db.destinations import Address

_MOVED_WAIT = 1.0  # seconds; a chat that moves without end must not keep us busy


class ChatMoved(Throttled):
    """The group has become a supergroup, whose id is `chat_id`. Nothing was posted."""

    def __init__(self, chat_id: str) -> None:
        text = f"the group has become a supergroup: its chat id is {chat_id}"
        super().__init__(text, phase="answer", reply_code=400, retry_after=_MOVED_WAIT)
        self.chat_id = chat_id


def request(message: Message, destination: Address) -> Request:
    """Return the request that posts a message: as plain text with a bold title, unless `data` has a parse_mode."""
    body: dict[str, Any] = {**message.data, "chat_id": destination.chat_id, "text": message.titled()}
    if message.subject and not body.keys() & {"parse_mode", "entities"}:
        # Offsets and lengths count UTF-16 code units.
        length = len(message.subject.encode("utf-16-le")) // 2
        body["entities"] = [{"type": "bold", "offset": 0, "length": length}]
    url = f"{destination.url.rstrip('/')}/bot{destination.token}/sendMessage"
    return Request(url, HEADERS, orjson.dumps(body))


def judge(answer: Answer) -> Receipt:
    """Return the receipt, or raise what the answer means. The field `ok` decides, not the status."""
    said = document(answer)
    if said.get("ok") is True:
        return taken(answer, _object(said.get("result")).get("message_id"))
    if said.get("ok") is not False:
        raise undelivered(by_status(answer), answer, words(answer))
    parameters, text = _object(said.get("parameters")), str(said.get("description") or words(answer))
    if isinstance(moved := parameters.get("migrate_to_chat_id"), int):
        raise ChatMoved(str(moved))
    raise _refusal(answer, said.get("error_code"), text, parameters.get("retry_after"))


def _refusal(answer: Answer, code: object, text: str, retry_after: object) -> Undelivered:
    status = code if isinstance(code, int) else answer.status
    # A proxy may have replaced the status by 200.
    meant = answer._replace(status=status)
    kind = by_status(meant)
    if issubclass(kind, Throttled):
        return throttled(meant, text, retry_after)
    return undelivered(kind, meant, printable(text))


def _object(given: object) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}
