"""Addresses of all channels, as the suppression list takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.addresses import address_fault, normalised


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        *(("Ann@Example.COM", "ann@example.com"), ("+ann@Example.com", "+ann@example.com")),
        *(("+41 79 123 45 67", "+41791234567"), ("+1 (555) 555-0100", "+15555550100")),
        *(("fcm:AbC:1", "fcm:AbC:1"), ("apns:" + "0A" * 32, "apns:" + "0a" * 32)),
        *(("webpush:https://Push.example.com/A?b",) * 2, ("webpush:http://10.0.0.1/a",) * 2),
        *(("+41 79 123 45 67 from ACME", "+41791234567 from acme"), ("+41791234567 from default",) * 2),
    ],
)
def test_addresses_of_each_kind_are_normalised(address: str, normal: str) -> None:
    assert address_fault(address) is None
    assert normalised(address) == normal


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        *(("ann", "must have an @"), ("", "must have an @"), ("0791234567", "must have an @")),
        *(("fcm:", "registration token"), ("apns:12", "64 to 200"), ("webpush:ftp://a.example", "https://")),
        *(("+4179", "is too short"), ("+41791234567 from ", "names no sender"), ("+41791234567 to x", "country code")),
    ],
)
def test_an_invalid_address_is_refused_with_a_reason(address: str, fault: str) -> None:
    assert fault in (address_fault(address) or "")


@given(text=st.text(max_size=60))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert normalised(normalised("+" + text)) == normalised("+" + text)
