"""Answers of the API as SMTP replies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from cli.submission.api import Answer
from cli.submission.refusal import reply
from cli.terminal import faults

AWAY = "451 4.3.0"
_ITEM = re.compile(r"^/items/\d+")


class Outcome(NamedTuple):
    """Reply to a mail, and the ids of the notifications that were stored."""

    reply: str
    ids: list[int]


def outcome(answer: Answer, number: int) -> Outcome:
    """Return the SMTP reply for the answer to a POST of this many notifications."""
    status, document = answer
    if status in (HTTPStatus.OK, HTTPStatus.CREATED):
        return _stored(document, number)
    code = _code(status, document)
    return Outcome(reply(code, *_words(status, document)), [])


def _stored(document: Mapping[str, Any], number: int) -> Outcome:
    """Return 250 only if each notification has an id: anything else is no answer of the API."""
    stored = document.get("items", [document])
    try:
        ids = [int(one["id"]) for one in stored]
        failed = [one for one in stored if one["status"] == "failed"]
    except (KeyError, TypeError, ValueError):
        ids = []
    if len(ids) != number:
        return Outcome(reply("451 4.3.5", "What answers is not the notification API: see --url of `notify smtp`"), [])
    named = f"notification {ids[0]}" if len(ids) == 1 else f"notifications {min(ids)} to {max(ids)}"
    if len(failed) == len(stored):
        why = failed[0].get("lastError") or failed[0].get("failureReason")
        return Outcome(reply("550 5.7.1", f"Not sent, {named}: {why}"), ids)
    text = f"Stored as {named}" + (f", of which {len(failed)} failed at once" if failed else "")
    return Outcome(reply("250 2.0.0", text), ids)


def _code(status: int, document: Mapping[str, Any]) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "535 5.7.8"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "552 5.3.4"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "451 4.7.1"
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        foreign = any(fault.get("pointer", "").endswith("/from") for fault in document.get("errors", ()))
        return "550 5.7.1" if foreign else "550 5.6.0"
    # 408, 409, and all of 5xx: another attempt may succeed. What else there is comes from a wrong --url.
    return AWAY if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT) or status >= 500 else "451 4.3.5"


def _words(status: int, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the detail of a problem document (RFC 9457), and then each of its faults."""
    yield str(document.get("detail") or f"The API answered {status}")
    # All notifications of a mail have the same content, and so the same faults.
    listed = [
        {**one, "pointer": _ITEM.sub("", one["pointer"])} if "pointer" in one else one for one in _errors(document)
    ]
    yield from dict.fromkeys(faults.explained(listed, None))


def _errors(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for one in document.get("errors", ()):
        if "pointer" in one:
            yield {**one, "pointer": _ITEM.sub("", one["pointer"])}
        else:
            yield one
