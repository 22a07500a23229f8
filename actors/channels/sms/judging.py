"""Judge the answers of providers of text messages: by the codes that they document, else by the HTTP status."""

from __future__ import annotations

from collections.abc import Mapping

from actors.channels import Refused, Undelivered
from actors.channels.http_api import Answer
from actors.channels.http_judging import SenderRefused, by_status, undelivered
from actors.channels.sms.text import OPTED_OUT, Text

Table = Mapping[object, type[Undelivered]]


class OptedOut(Undelivered):
    """Mark in tables: the recipient has asked this sender to stop."""

    outcome = "refused"


def refusal(answer: Answer, said: str, text: Text, table: Table, *codes: object) -> Undelivered:
    """Return the error for an answer that says `said`: by the first of `codes` that `table` has, else by its status."""
    kind = next((table[code] for code in codes if code in table), None) or by_status(answer.status)
    if kind is SenderRefused:
        kind = text.blamed
    if kind is not OptedOut:
        return undelivered(kind, answer, said)
    error = undelivered(Refused, answer, said)
    error.suppress = OPTED_OUT
    return error
