"""Judge the answers of chat services: their text, the wait that they ask for, and the meaning of a status."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

import orjson

from actors.channels import Deferred, Receipt, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.webhook.http_client import Answer

SHORTEST_WAIT, USUAL_WAIT, LONGEST_WAIT = 0.25, 5.0, 3_600.0  # seconds; USUAL_WAIT if the service names none


def document(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in the body; empty if there is none."""
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def words(answer: Answer) -> str:
    """Return the body as text, or the reason phrase if it is empty."""
    return printable(answer.body.decode("utf-8", "replace")) or printable(answer.reason)


def taken(answer: Answer, id: object = None) -> Receipt:
    """Return the receipt for a message, which the service calls `id`."""
    if id is None:
        return Receipt("answer", answer.status, None, printable(f"{answer.status} {words(answer)}"))
    return Receipt("answer", answer.status, None, printable(f"{answer.status} posted as {id}"), printable(str(id)))


def undelivered(kind: type[Undelivered], answer: Answer, text: str) -> Undelivered:
    """Return the error for an answer. Throttled has the wait that the headers ask for."""
    if issubclass(kind, Throttled):
        return throttled(answer, text)
    return kind(printable(f"{answer.status} {text}"), phase="answer", reply_code=answer.status)


def throttled(answer: Answer, text: str, *asked: object) -> Throttled:
    """Return the error for an answer that asks us to wait: for the first of `asked` seconds, else for Retry-After."""
    waits = (seconds(one) for one in (*asked, answer.headers.get("Retry-After")))
    wait = next((wait for wait in waits if wait is not None), USUAL_WAIT)
    return Throttled(printable(f"{answer.status} {text}"), phase="answer", reply_code=answer.status, retry_after=wait)


def by_status(answer: Answer) -> type[Undelivered]:
    """Return the error for a status if the body contains no known error.

    A 2xx may come from something else, such as a proxy. After 500, 502 and 504 the message may have been posted.
    """
    status = answer.status
    if status == 429 or (status == 503 and "Retry-After" in answer.headers):
        return Throttled
    if status in (408, 425, 503) or 300 <= status < 400:
        return Deferred
    return Refused if 400 <= status < 500 else Uncertain


def seconds(given: object) -> float | None:
    """Return a wait in seconds, within our bounds: a number, with a fraction or not, or a date (RFC 9110, 10.2.3)."""
    if isinstance(given, bool) or given is None:
        return None
    try:
        wait = float(given) if isinstance(given, (int, float)) else _of_text(str(given).strip())
    except (ValueError, OverflowError):
        return None
    return min(max(wait, SHORTEST_WAIT), LONGEST_WAIT) if isfinite(wait) else None


def _of_text(given: str) -> float:
    try:
        return float(given)
    except ValueError:
        at = parsedate_to_datetime(given)
        return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
