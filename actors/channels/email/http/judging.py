"""Judge the answers of mail providers: by the codes that they document, else by the status or the words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from actors.channels import Deferred, ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.email.answers import Reply
from actors.channels.email.refusals import judge as judge_words
from actors.channels.http_api import Answer

LONGEST_WAIT = 3_600.0  # seconds of a Retry-After that are honoured
_STATUSES: dict[int, type[Undelivered]] = {
    408: Deferred,  # the request did not arrive completely
    413: Refused,
    429: Throttled,
    503: Deferred,
    # Key, account, payment, or an address of the API that is wrong: nothing is wrong with the mail.
    **dict.fromkeys((401, 402, 403, 404, 405, 406, 407, 410, 415, 421), ProviderDown),
}

_QUOTED = re.compile(r"""(?<!\w)(["'`]).*?\1(?!\w)""", re.DOTALL)


class SenderRefused(Undelivered):
    """Mark in tables: the sender or its domain is not verified. `Outgoing.blamed` says what that means."""

    outcome = "refused"


class ByWords(Undelivered):
    """Mark in tables: the code is used for many faults, so that only the text tells."""

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
    """Return the receipt for a mail that the provider calls `id`.

    Raises:
        Uncertain: There is no id. Something else may have answered, such as a proxy.
    """
    if not (isinstance(id, str) and id):
        raise undelivered(Uncertain, answer, f"without the id of a mail: {words(answer)}")
    # Events write some ids without the angle brackets of the answer.
    return Receipt("answer", answer.status, None, printable(f"{answer.status} taken as {id}"), id.strip("<>")[:200])


def refusal(
    answer: Answer, text: str, blamed: type[Undelivered], table: Mapping[Any, type[Undelivered]], *codes: object
) -> Undelivered:
    """Return the error for an answer: by the first of `codes` that `table` has, else by its status or its words."""
    known = next((table[code] for code in codes if code in table), None)
    kind = known or by_status(answer.status)
    if kind is ByWords:
        kind = by_words(text, blamed)
    elif kind is SenderRefused:
        kind = blamed
    return undelivered(kind, answer, text)


def by_status(status: int) -> type[Undelivered]:
    """Return what a status means where the documentation says nothing.

    2xx is not expected here. After 500, 502 and 504 the mail may be on its way.
    """
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 400:
        return ProviderDown  # redirects are not followed, so nothing was done
    return ByWords if 400 <= status < 500 else Uncertain


def by_words(text: str, blamed: type[Undelivered]) -> type[Undelivered]:
    """Return what the words of a refusal mean, as in SMTP: Refused, unless they are about our account or our rate."""
    return judge_words("content", Reply(550, None, unquoted(text)), blamed)


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
