"""Judge the answers of mail providers: by the codes that they document, else by the status or the words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.channels import Refused, Undelivered
from actors.channels.email.answers import Reply
from actors.channels.email.refusals import judge as judge_words
from actors.channels.http_api import Answer
from actors.channels.http_judging import SenderRefused, by_status, undelivered, unquoted


class ByWords(Undelivered):
    """Mark in tables: the code is used for many faults, so that only the text tells."""

    outcome = "refused"


def refusal(
    answer: Answer, text: str, blamed: type[Undelivered], table: Mapping[Any, type[Undelivered]], *codes: object
) -> Undelivered:
    """Return the error for an answer: by the first of `codes` that `table` has, else by its status or its words."""
    known = next((table[code] for code in codes if code in table), None)
    kind = known or by_status(answer.status)
    if kind is ByWords or (known is None and kind is Refused and answer.status != 413):
        kind = by_words(text, blamed)
    elif kind is SenderRefused:
        kind = blamed
    return undelivered(kind, answer, text)


def by_words(text: str, blamed: type[Undelivered]) -> type[Undelivered]:
    """Return the error for the text of a refusal, as in SMTP: Refused, unless the text is about our account or our
    rate."""
    return judge_words("content", Reply(550, None, unquoted(text)), blamed)
