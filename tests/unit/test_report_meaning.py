"""Classes of bounces: the code of the mail server corrects the class that the provider gives."""

from __future__ import annotations

import pytest

from actors.reports.providers.meaning import (
    COMPLAINED,
    DELAYED,
    HARD,
    POLICY,
    SENDER,
    SOFT,
    UNKNOWN,
    Meaning,
    by_code,
    code_in,
)


@pytest.mark.parametrize(
    ("codes", "hard", "soft", "unknown"),
    [
        (("5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"), HARD, SOFT, HARD),
        (("5.2.2", "5.2.3", "5.3.0", "5.3.4", "5.4.7", "4.0.0", "4.7.1", "4.1.1"), SOFT, SOFT, SOFT),
        (("5.1.7", "5.1.8", "5.1.9", "5.7.20", "5.7.26", "5.7.27", "5.7.509", "5.7.515"), SENDER, SENDER, SENDER),
        (("5.7.0", "5.7.1", "5.7.28", "5.7.133", "5.6.0"), POLICY, POLICY, POLICY),
        (("5.5.0", "5.5.2"), UNKNOWN, SOFT, UNKNOWN),
        (("5.0.0", "5.1.0", "5.1.2", "5.4.1", "5.4.4", "2.0.0"), HARD, SOFT, UNKNOWN),
        (("", None, "550", "5.1", "5.1.1.1", "5.1.1 ", "x"), HARD, SOFT, UNKNOWN),
    ],
)
def test_a_bounce_code_overrides_the_class_that_the_provider_gives(
    codes: tuple[str | None, ...], hard: Meaning, soft: Meaning, unknown: Meaning
) -> None:
    for code in codes:
        assert (by_code(code, HARD), by_code(code, SOFT), by_code(code, UNKNOWN)) == (hard, soft, unknown), code


@pytest.mark.parametrize("known", [POLICY, SENDER, DELAYED, COMPLAINED])
def test_a_bounce_code_does_not_replace_a_meaning_that_the_provider_gives(known: Meaning) -> None:
    assert by_code("5.1.1", known) == known


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("smtp;550 5.1.1 <a@example.com>: no such user", "5.1.1"),
        ("550-5.7.26 not authenticated", "5.7.26"),
        ("#5.2.2 mailbox full (4.2.2)", "5.2.2"),
        ("550 no such user", None),
        ("relay 15.1.1.1 and 5.1.1.254 and 5.1 and 3.1.1 and 5.1234.1", None),
        ("", None),
    ],
)
def test_the_first_enhanced_code_in_the_reply_of_a_server_is_used(text: str, code: str | None) -> None:
    assert code_in(text) == code
