"""Phone numbers and senders of text messages, as people and as attackers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.sms.numbers import NoNumber, is_region, masked, normalised
from actors.channels.sms.senders import NoSender, is_service, normalised_sender


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        *(("+41791234567", None, "+41791234567"), ("+41 79 123 45 67", None, "+41791234567")),
        *(("+1 (555) 555-0100", None, "+15555550100"), ("+44.7700.900000", None, "+447700900000")),
        *(("+41 (0)79 123 45 67", None, "+41791234567"), ("+39 06 1234 5678", None, "+390612345678")),
        # Numbers that Twilio gives for tests.
        *(("+15005550006", None, "+15005550006"), ("+41791234567", "US", "+41791234567")),
        *(("079 123 45 67", "CH", "+41791234567"), ("0041 79 123 45 67", "CH", "+41791234567")),
        *(("(555) 555-0100", "US", "+15555550100"), ("011 41 79 123 45 67", "US", "+41791234567")),
    ],
)
def test_a_phone_number_is_normalised_to_e164(text: str, region: str | None, number: str) -> None:
    assert normalised(text, region) == number


@pytest.mark.parametrize("text", ["0791234567", "0041791234567", "41791234567", "5555550100", "911"])
def test_a_number_without_a_country_code_is_not_guessed(text: str) -> None:
    with pytest.raises(NoNumber, match=r"with its country code.*default region"):
        normalised(text, None)


@pytest.mark.parametrize(
    ("text", "region", "why"),
    [
        *(
            ("+4179123", None, "too short"),
            ("+417912345678901", None, "too long"),
            ("+999123456789", None, "country code"),
        ),
        *(("911", "US", "short"), ("12345", "US", "short"), ("+1", None, "must be"), ("+", None, "must be")),
        *(("", None, "must be"), ("hello", None, "must be"), ("+1800FLOWERS", None, "must be")),
        *(("+41791234567 x3", None, "must be"), ("+41791234567;ext=3", None, "must be")),
        *(("tel:+41791234567", None, "must be"), ("+41791234567\r\nBcc: x", None, "must be")),
        *(("+41791234567\n", None, "must be"), ("\u200e+41791234567", None, "must be")),
        *(("+٤١٧٩١٢٣٤٥٦٧", None, "must be"), ("\uff0b41791234567", None, "must be"), ("+41\x0079", None, "must be")),
        *(("+" + "1" * 41, None, "must be"), ("++41791234567", None, "must be"), ("+()-. /", None, "must be")),
    ],
)
def test_an_invalid_phone_number_is_refused_with_a_reason(text: str, region: str | None, why: str) -> None:
    with pytest.raises(NoNumber, match=why):
        normalised(text, region)


@given(text=st.text(max_size=50), region=st.sampled_from([None, "CH", "US", "IN"]))
def test_any_text_is_normalised_to_a_number_or_refused(text: str, region: str | None) -> None:
    try:
        number = normalised(text, region)
    except NoNumber as error:
        why = str(error)
    else:
        assert number.startswith("+")
        assert number[1:].isascii()
        assert number[1:].isdecimal()
        assert normalised(number, None) == number
        return
    assert why.startswith(("must be ", "is too ", "has "))


def test_every_region_is_a_country() -> None:
    assert all(map(is_region, ("CH", "US", "IN", "GB")))
    assert not any(map(is_region, ("", "ch", "UK", "XX", "CHE", "ZZ")))


def test_a_number_in_the_log_shows_only_its_last_two_digits() -> None:
    assert masked("+41791234567") == "+41***67"
    assert masked("+123456") == "***"


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        *(("ACME", "ACME"), ("My Shop 24", "My Shop 24"), ("A", "A"), ("12345", "12345"), ("24h", "24h")),
        *(("+41 79 123 45 67", "+41791234567"), ("+1 555 555 0100", "+15555550100")),
    ],
)
def test_a_sender_is_a_number_a_short_code_or_a_name(text: str, sender: str) -> None:
    assert normalised_sender(text) == sender


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "TwelveLetter",
            "A\r\nB",
            "ACME\n",
            " ACME",
            "ACME ",
            "Ä",
            "a@b",
            "+",
            "12",
            "123456789",
            "+999123456789",
        ),
        *("MG" + "0" * 32, "0791234567", "<b>", "-"),
    ],
)
def test_an_invalid_sender_is_refused(text: str) -> None:
    with pytest.raises(NoSender, match="must be a phone number"):
        normalised_sender(text)


def test_a_messaging_service_is_recognised_by_its_id() -> None:
    assert is_service("MG" + "0a" * 16)
    assert not is_service("MG" + "0a" * 15)
    assert not is_service("ACME")
