"""Judge the answers of push services: by the reasons that they document, else by the status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.channels import Deferred, ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.http_api import Answer

_STATUSES: dict[int, type[Undelivered]] = {
    408: Deferred,  # the request did not arrive completely
    413: Refused,
    429: Throttled,
    503: Deferred,
    # Key, account, or an address of the API that is wrong: nothing is wrong with the message.
    **dict.fromkeys((401, 402, 403, 404, 405, 406, 407, 415, 421), ProviderDown),
}


def taken(answer: Answer, id: object) -> Receipt:
    """Return the receipt for a message that the service calls `id`.

    Raises:
        Uncertain: There is no id. Something else may have answered, such as a proxy.
    """
    if not (isinstance(id, str) and id):
        raise undelivered(Uncertain, answer, "without the id of a message")
    return Receipt("answer", answer.status, None, printable(f"{answer.status} taken as {id}"), printable(id)[:200])


def refusal(answer: Answer, text: str, table: Mapping[Any, type[Undelivered]], *codes: object) -> Undelivered:
    """Return the error for an answer: by the first of `codes` that `table` has, else by its status."""
    kind = next((table[code] for code in codes if code in table), None)
    return undelivered(kind or by_status(answer.status), answer, text)


def by_status(status: int) -> type[Undelivered]:
    """Return what a status means where the documentation says nothing.

    2xx is not expected here. After 500, 502 and 504 the message may be on its way.
    """
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 400:
        return ProviderDown  # redirects are not followed, so nothing was done
    return Refused if 400 <= status < 500 else Uncertain


def undelivered(kind: type[Undelivered], answer: Answer, text: str) -> Undelivered:
    return kind(printable(f"{answer.status} {text}"), phase="answer", reply_code=answer.status)


def gone(answer: Answer, text: str) -> Refused:
    """Return the error for a token that is no longer valid: nothing is sent to it any more."""
    return Refused(printable(f"{answer.status} {text}"), phase="answer", reply_code=answer.status, suppress=0)
