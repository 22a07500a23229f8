"""Which refusals put a recipient on the suppression list."""

from __future__ import annotations

from uuid import uuid4

import pytest

from actors.channels.permanence import is_gone
from db.records import Attempt

NEVER = [
    *("5.0.0", "5.1.0", "5.1.2", "5.1.4", "5.1.5", "5.1.7", "5.1.8", "5.1.9", "5.2.0", "5.2.2", "5.2.3", "5.2.4"),
    *("5.3.0", "5.4.1", "5.4.4", "5.5.0", "5.6.0", "5.7.0", "5.7.1", "5.7.17", "5.7.26", "4.1.1", "2.1.5", None),
]


def attempt(code: str | None, *, phase: str = "rcpt", outcome: str = "refused", reply: int = 550) -> Attempt:
    return Attempt(outcome, uuid4(), "mail:25", 1, 2, phase, reply, code, "550 no")


@pytest.mark.parametrize("code", ["5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"])
def test_a_mailbox_that_is_not_there_is_gone(code: str) -> None:
    assert is_gone(attempt(code))


@pytest.mark.parametrize("code", NEVER)
def test_a_refusal_that_may_have_another_reason_is_not_about_the_mailbox(code: str | None) -> None:
    assert not is_gone(attempt(code))


def test_only_the_answer_to_rcpt_speaks_of_the_recipient() -> None:
    for phase in ("mail", "data", "content", "connect", "compose"):
        assert not is_gone(attempt("5.1.1", phase=phase))


def test_what_is_not_refused_for_good_is_not_gone() -> None:
    assert not is_gone(attempt("5.1.1", outcome="deferred", reply=450))
    assert not is_gone(attempt("5.1.1", outcome="refused", reply=450))
    assert not is_gone(attempt("5.1.1", outcome="provider-down"))
