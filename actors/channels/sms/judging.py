"""Judge the answers of providers of text messages: by the codes that they document, else by the HTTP status."""

from __future__ import annotations

from collections.abc import Mapping

from actors.channels import Receipt, Refused, Uncertain, Undelivered, printable
from actors.channels.email.http.judging import ByWords, SenderRefused, by_status, undelivered, words
from actors.channels.http_api import Answer
from actors.channels.sms.text import OPTED_OUT, Text

Table = Mapping[object, type[Undelivered]]


class OptedOut(Undelivered):
    """Mark in tables: the recipient has asked this sender to stop."""

    outcome = "refused"


def taken(answer: Answer, id: object) -> Receipt:
    """Return the receipt for a message that the provider calls `id`.

    Raises:
        Uncertain: There is no id. Something else may have answered, such as a proxy.
    """
    if not (isinstance(id, str) and id):
        raise undelivered(Uncertain, answer, f"without the id of a message: {words(answer)}")
    return Receipt("answer", answer.status, None, printable(f"{answer.status} taken as {id}"), id[:200])


def refusal(answer: Answer, said: str, text: Text, table: Table, *codes: object) -> Undelivered:
    """Return the error for an answer that says `said`: by the first of `codes` that `table` has, else by its status."""
    kind = next((table[code] for code in codes if code in table), None) or by_status(answer.status)
    if kind is SenderRefused:
        kind = text.blamed
    elif kind in {ByWords, OptedOut}:  # No other status blames the message.
        kind = Refused
    error = undelivered(kind, answer, said)
    if isinstance(error, Refused) and any(table.get(code) is OptedOut for code in codes):
        error.suppress = OPTED_OUT
    return error
