"""Refusals that put a recipient on the suppression list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from actors.channels import Receipt
from actors.channels.email.hard_bounce import is_hard_bounce
from db.records import Claimed

NEVER = [
    *("5.0.0", "5.1.0", "5.1.2", "5.1.4", "5.1.5", "5.1.7", "5.1.8", "5.1.9", "5.2.0", "5.2.2", "5.2.3", "5.2.4"),
    *("5.3.0", "5.4.1", "5.4.4", "5.5.0", "5.6.0", "5.7.0", "5.7.1", "5.7.17", "5.7.26", "4.1.1", "2.1.5", None),
]


NOTIFICATION = Claimed(
    *(1, 1, "email", "Ann@EXÄMPLE.com", "Hi", "Hello", None, "resend", 0, datetime(2024, 1, 1, tzinfo=UTC))
)
COPIES: list[dict[str, Any]] = [{"cc": ["b@example.com"]}, {"bcc": ["Bob <b@example.com>"]}]


def refusal(code: str | None, *, phase: str = "rcpt", reply: int = 550, text: str = "550 no") -> Receipt:
    return Receipt(phase, reply, code, text)


@pytest.mark.parametrize("code", ["5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"])
def test_an_unknown_mailbox_is_a_hard_bounce(code: str) -> None:
    assert is_hard_bounce(NOTIFICATION, refusal(code))


@pytest.mark.parametrize("code", NEVER)
def test_a_refusal_that_may_have_another_reason_is_not_about_the_mailbox(code: str | None) -> None:
    assert not is_hard_bounce(NOTIFICATION, refusal(code))


def test_only_an_answer_to_rcpt_can_be_a_hard_bounce() -> None:
    for phase in ("mail", "data", "content", "connect", "compose"):
        assert not is_hard_bounce(NOTIFICATION, refusal("5.1.1", phase=phase))


def test_a_temporary_refusal_is_no_hard_bounce() -> None:
    assert not is_hard_bounce(NOTIFICATION, refusal("5.1.1", reply=450))


@pytest.mark.parametrize("mail", COPIES)
def test_with_copies_a_hard_bounce_must_name_the_recipient(mail: dict[str, Any]) -> None:
    several = NOTIFICATION._replace(mail=mail)
    for text in (
        "b@example.com: 550 Ann@xn--exmple-cua.com: 5.1.1 no",
        "550 5.1.1 no",
        "Ann@xn--exmple-cua.com.x: no",
    ):
        assert not is_hard_bounce(several, refusal("5.1.1", text=text))
    assert is_hard_bounce(several, refusal("5.1.1", text="Ann@xn--exmple-cua.com: 550 5.1.1 no"))


def test_a_mail_without_copies_has_one_recipient() -> None:
    assert is_hard_bounce(NOTIFICATION._replace(mail={"headers": {}, "cc": []}), refusal("5.1.1"))
