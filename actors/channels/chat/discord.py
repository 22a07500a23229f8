"""Discord: webhooks of a channel."""

from __future__ import annotations

import orjson

from actors.channels import Deferred, Receipt, Refused, Throttled, Undelivered
from actors.channels.chat.message import HEADERS, Message
from actors.channels.destination_answers import by_status, document, seconds, taken, throttled, undelivered, words
from actors.channels.webhook.http_client import Answer, Request
from db.destinations import Address

# The field `code` of an answer.
_CODES: dict[object, type[Undelivered]] = {
    **dict.fromkeys((20_016, 20_028, 40_062), Throttled),  # slow mode, or too many requests
    130_000: Deferred,  # the API is overloaded
    10_015: Refused,  # the webhook was deleted
    50_027: Refused,  # the token of the webhook is wrong
}


def request(message: Message, destination: Address) -> Request:
    """Return the request that posts a message. It notifies nobody, unless `data` has its own allowed_mentions.

    With `wait`, the answer comes after the message was posted and has its id.
    """
    url = destination.url
    if "wait=" not in url.partition("?")[2]:
        url += "&wait=true" if "?" in url else "?wait=true"
    body = {"allowed_mentions": {"parse": []}, **message.data, "content": message.titled("**")}
    return Request(url, HEADERS, orjson.dumps(body))


def judge(answer: Answer) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status in (200, 204):
        return taken(answer, said.get("id"))
    kind = _CODES.get(said.get("code")) or by_status(answer)
    text = str(said.get("message") or words(answer))
    if issubclass(kind, Throttled):
        # The headers are in seconds; the body of an old version of the API has milliseconds.
        asked = (answer.headers.get("X-RateLimit-Reset-After"), answer.headers.get("Retry-After"))
        raise throttled(answer, text, *asked, said.get("retry_after"))
    code = said.get("code")
    raise undelivered(kind, answer, f"{code}: {text}" if code else text)


def pause(answer: Answer) -> float:
    """Return the seconds until the webhook takes another message; 0.0 means at once."""
    if answer.headers.get("X-RateLimit-Remaining") != "0":
        return 0.0
    return seconds(answer.headers.get("X-RateLimit-Reset-After")) or 0.0
