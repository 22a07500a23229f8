"""Microsoft Teams: the webhook of a workflow, which posts Adaptive Cards."""

from __future__ import annotations

from typing import Any

import orjson

from actors.channels import Receipt, Refused, Throttled
from actors.channels.chat.message import HEADERS, TEAMS_LIMIT, Message
from actors.channels.destination_answers import by_status, taken, undelivered, words
from actors.channels.webhook.http_client import Answer, Request
from db.destinations import Address

_CARD = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard"}


def request(message: Message, destination: Address) -> Request:
    """Return the request that posts a message as a card. `data` has fields of the card, such as body and actions.

    Raises:
        Refused: The request would be too large.
    """
    card = {"version": "1.4", "fallbackText": message.titled(), "body": _blocks(message), **message.data, **_CARD}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    body = orjson.dumps({"type": "message", "attachments": [attachment]})
    if len(body) > TEAMS_LIMIT:
        raise Refused(f"the card has {len(body)} bytes; Teams takes at most {TEAMS_LIMIT}: shorten it", phase="compose")
    return Request(destination.url, HEADERS, body)


def judge(answer: Answer) -> Receipt:
    """Return the receipt, or raise what the answer means. A 202 only says that the workflow was started."""
    text = words(answer)
    if answer.status not in (200, 202):
        raise undelivered(by_status(answer), answer, text)
    if answer.status == 200 and "HTTP error" in text:  # A connector, the predecessor of workflows, reports it so.
        raise undelivered(Throttled if "HTTP error 429" in text else Refused, answer, text)
    return taken(answer)


def _blocks(message: Message) -> list[dict[str, Any]]:
    title = {"type": "TextBlock", "text": message.subject, "weight": "Bolder", "size": "Medium", "wrap": True}
    # Markdown joins lines that only one line break separates.
    text = {"type": "TextBlock", "text": message.text.replace("\n", "\n\n"), "wrap": True}
    return [title, text] if message.subject else [text]
