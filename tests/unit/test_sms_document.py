"""Documents of text messages: what is stored of them, and which faults they have beyond the schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.contract import Rights
from actors.channels.sms.document import read, shown

NONE, SWISS = Rights(()), Rights((), "CH")
HELLO = {"recipient": "+41 79 123 45 67", "message": "Hello"}


def faults(document: dict[str, Any], rights: Rights = NONE) -> dict[str, str]:
    content, found = read(document, rights)
    assert content is None
    return {fault["pointer"]: fault["detail"] for fault in found}


def test_a_message_is_stored_with_its_segments_and_a_normal_number() -> None:
    content, found = read(HELLO, NONE)

    assert found == []
    assert content is not None
    assert content[:4] == ("+41791234567", "", "Hello", None)
    assert content.options == {"maxSegments": 10, "encoding": "gsm-7", "segments": 1}
    assert content.addresses == ("+41791234567", "+41791234567 from default")
    assert shown(content.options) == {"from": None, **content.options}


def test_a_sender_of_the_client_is_stored_and_part_of_what_can_be_suppressed() -> None:
    content, _ = read({**HELLO, "from": "+1 555 555 0100", "maxSegments": 2}, Rights(("sms:+15555550100",)))

    assert content is not None
    assert content.options == {"from": "+15555550100", "maxSegments": 2, "encoding": "gsm-7", "segments": 1}
    assert content.addresses == ("+41791234567", "+41791234567 from +15555550100")


@pytest.mark.parametrize("senders", [(), ("ACME",), ("sms:acme",), ("@example.com", "sms:ACMEX")])
def test_a_sender_that_is_not_one_of_the_clients_is_refused_with_the_way_to_allow_it(senders: tuple[str, ...]) -> None:
    found = faults({**HELLO, "from": "ACME"}, Rights(senders))

    assert found == {"/from": "must be one of the client's `senders`, in which it is written as sms:ACME"}


def test_a_number_of_the_clients_region_gets_its_country_code() -> None:
    content, _ = read({**HELLO, "recipient": "079 123 45 67"}, SWISS)

    assert content is not None
    assert content.recipient == "+41791234567"
    assert faults({**HELLO, "recipient": "079 123 45 67"}).keys() == {"/recipient"}


@pytest.mark.parametrize(
    ("message", "most", "detail"),
    [
        ("a" * 161, 1, "has 2 segments in gsm-7; maxSegments is 1: shorten it, or allow more"),
        (
            *("ç\u2019" * 40, 1),
            "has 2 segments in ucs-2, because GSM-7 does not have 'ç' (U+00E7), '\u2019' (U+2019); maxSegments is 1: "
            "shorten it, or allow more",
        ),
        ("a" * 1531, None, "has 11 segments in gsm-7; maxSegments is 10: shorten it, or allow more"),
    ],
)
def test_a_message_with_too_many_segments_is_refused_with_the_reason(
    message: str, most: int | None, detail: str
) -> None:
    more = {} if most is None else {"maxSegments": most}

    assert faults({**HELLO, "message": message, **more}) == {"/message": detail}
    assert read({**HELLO, "message": message[:-1] if most is None else message, "maxSegments": 10}, NONE).content


def test_all_faults_are_reported_together() -> None:
    document = {"recipient": "911", "from": "TwelveLetter", "message": "a" * 161, "maxSegments": 1}

    assert faults(document).keys() == {"/recipient", "/from", "/message"}


@pytest.mark.parametrize("missing", ["recipient", "message"])
def test_a_document_with_schema_faults_gives_no_content(missing: str) -> None:
    assert faults({name: value for name, value in HELLO.items() if name != missing}) == {}


def test_a_notification_without_options_shows_none() -> None:
    assert shown(None) == {"from": None, "maxSegments": None, "encoding": None, "segments": None}


@given(
    document=st.fixed_dictionaries(
        {"recipient": st.text(max_size=40), "message": st.text(min_size=1, max_size=1600)},
        optional={"from": st.text(max_size=40), "maxSegments": st.integers(1, 10)},
    )
)
def test_any_document_is_read_or_refused_with_readable_faults(document: dict[str, Any]) -> None:
    content, found = read(document, SWISS)

    assert (content is None) == bool(found)
    assert all(fault["detail"].isprintable() for fault in found)
