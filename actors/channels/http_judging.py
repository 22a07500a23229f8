"""Read and judge the answers of providers with an HTTP API, where their own modules know no more."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from actors.channels import Deferred, ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.http_api import Answer

LONGEST_WAIT = 3_600.0  # seconds of a Retry-After that are honoured
_STATUSES: dict[int, type[Undelivered]] = {
    408: Deferred,  # the request did not arrive completely
    413: Refused,
    429: Throttled,
    503: Deferred,
    # Key, account, payment, or an address of the API that is wrong: nothing is wrong with the notification.
    **dict.fromkeys((401, 402, 403, 404, 405, 406, 407, 410, 415, 421), ProviderDown),
}

_QUOTED = re.compile(r"""(?<!\w)(["'`]).*?\1(?!\w)""", re.DOTALL)


class SenderRefused(Undelivered):
    """Mark in tables: the sender is refused. `blamed` of what was sent says what that means."""

    outcome = "refused"


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


def taken(answer: Answer, id: object) -> Receipt:
    """Return the receipt for a message that the provider calls `id`.

    Raises:
        Uncertain: There is no id. Something else may have answered, such as a proxy.
    """
    if not (isinstance(id, str) and id):
        raise undelivered(Uncertain, answer, f"without the id of a message: {words(answer)}")
    # Events write some ids without the angle brackets of the answer.
    known = printable(id.strip("<>"))[:200]
    return Receipt("answer", answer.status, None, printable(f"{answer.status} taken as {id}"), known)


def by_status(status: int) -> type[Undelivered]:
    """Return what a status means where the documentation says nothing.

    2xx is not expected here. After 500, 502 and 504 the message may be on its way.
    """
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 400:
        return ProviderDown  # redirects are not followed, so nothing was done
    return Refused if 400 <= status < 500 else Uncertain


def unquoted(text: str) -> str:
    """Return a text without what it quotes. A client must not open the breaker by a name that a refusal repeats."""
    return _QUOTED.sub(" ", text)


def undelivered(kind: type[Undelivered], answer: Answer, text: str) -> Undelivered:
    return kind(printable(f"{answer.status} {text}"), phase="answer", reply_code=answer.status)


def retry_after(answer: Answer) -> float:
    """Return the seconds that the provider asks us to wait (RFC 9110, section 10.2.3); 0 if it does not."""
    given = answer.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given[:9]), LONGEST_WAIT)
    try:
        wait = (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, wait), LONGEST_WAIT)
