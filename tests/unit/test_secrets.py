"""The text of a key: valid and invalid forms, and no accidental display."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import secrets
from db.secrets import KeyText

SECRET = "abcdefghijklmnopqrstuvwxyz-0123456789_ABCDE"
ids = st.integers(1, 10**18 - 1)


@given(id=ids, sandbox=st.booleans())
def test_a_written_key_parses_to_the_same_key(id: int, sandbox: bool) -> None:
    key = KeyText(id, sandbox, secrets.new())

    assert KeyText.parse(str(key)) == key
    assert str(key).startswith(f"ntf_{'test' if sandbox else 'live'}_{id}_")


@given(st.text())
def test_text_in_another_form_is_not_a_key(text: str) -> None:
    assert KeyText.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"ntf_live_0_{SECRET}",
        f"ntf_live_01_{SECRET}",
        f"ntf_live_-1_{SECRET}",
        f"ntf_live_{10**19}_{SECRET}",
        f"ntf_prod_1_{SECRET}",
        f"NTF_live_1_{SECRET}",
        f"ntf_live_1_{SECRET[1:]}",
        f"ntf_live_1_{SECRET}x",
        f"ntf_live_1_{SECRET}\n",
        f"ntf_live_1_{SECRET[1:]}é",
        f"ntf_live_١_{SECRET}",  # noqa: RUF001 - a digit, to some
        f" ntf_live_1_{SECRET}",
    ],
)
def test_text_that_is_nearly_a_key_is_refused(text: str) -> None:
    assert KeyText.parse(text) is None


def test_no_two_secrets_are_the_same_and_each_has_256_bits() -> None:
    made = {secrets.new() for _ in range(1_000)}

    assert len(made) == 1_000
    assert all(len(secret) == 43 for secret in made)


def test_the_digest_of_a_key_is_the_sha256_of_its_secret() -> None:
    assert KeyText(1, False, SECRET).digest == hashlib.sha256(SECRET.encode()).digest()


def test_a_key_does_not_show_its_secret_when_it_is_logged() -> None:
    assert SECRET not in repr(KeyText(1, False, SECRET))
    assert SECRET not in f"{[KeyText(1, False, SECRET)]}"
