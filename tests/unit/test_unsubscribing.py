"""Unsubscribe links: they cannot be forged and reveal nothing."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.email.unsubscribing import notification_of, token, url
from settings import SettingsError, read

SECRET = "0123456789abcdef0123456789abcdef"
HERE = read({"PUBLIC_URL": "https://notify.example.com/", "UNSUBSCRIBE_SECRET": SECRET}).public
IDS = st.integers(1, 2**63 - 1)


@given(id=IDS)
def test_a_token_identifies_its_notification(id: int) -> None:
    assert notification_of(token(id, HERE), HERE) == id


@given(id=IDS)
def test_a_url_is_one_header_value_of_bounded_length(id: int) -> None:
    made = url(id, HERE)

    assert made == f"https://notify.example.com/u/{token(id, HERE)}"
    assert len(token(id, HERE)) == 32
    assert made.isascii()
    assert made.isprintable()


def test_unsubscribe_urls_need_a_public_url() -> None:
    assert url(5, read({}).public) is None


@given(id=IDS, place=st.integers(0, 23), change=st.integers(1, 255))
def test_a_token_with_a_changed_byte_is_invalid(id: int, place: int, change: int) -> None:
    octets = bytearray(base64.urlsafe_b64decode(token(id, HERE)))
    octets[place] ^= change

    assert notification_of(base64.urlsafe_b64encode(bytes(octets)).decode(), HERE) is None


@given(text=st.text() | st.text(alphabet="AZaz09-_=").map(lambda text: text[:40]))
def test_arbitrary_text_is_an_invalid_token(text: str) -> None:
    assert notification_of(text, HERE) is None


def test_a_token_of_another_secret_is_invalid() -> None:
    other = read({"PUBLIC_URL": "https://notify.example.com", "UNSUBSCRIBE_SECRET": "x" * 32}).public

    assert notification_of(token(5, other), HERE) is None
    assert notification_of(token(5, HERE), read({}).public) is None
    # Without a secret there is no right signature either.
    assert notification_of(token(5, read({}).public), read({}).public) is None


@pytest.mark.parametrize(
    "wrong",
    [
        *("http://notify.example.com", "notify.example.com", "ftp://x", "https://", "https://u:p@x", "https://x/?a=b"),
        *("https://x/#a", "https://x/a b", "https://x/<a>", "https://x/ä", "https://x:99999"),
    ],
)
def test_an_unusable_public_url_stops_the_start(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"^PUBLIC_URL "):
        read({"PUBLIC_URL": wrong, "UNSUBSCRIBE_SECRET": SECRET})


def test_a_public_url_needs_a_secret_and_does_not_repeat_it() -> None:
    with pytest.raises(SettingsError, match=r"^UNSUBSCRIBE_SECRET must have at least 32 characters") as refused:
        read({"PUBLIC_URL": "https://x", "UNSUBSCRIBE_SECRET": "hunter2"})
    assert "hunter2" not in str(refused.value)
    assert SECRET not in repr(HERE)


def test_on_loopback_a_public_url_need_not_be_encrypted() -> None:
    made = url(5, read({"PUBLIC_URL": "http://127.0.0.1:8000", "UNSUBSCRIBE_SECRET": SECRET}).public)
    assert made is not None
    assert made.startswith("http://127.0.0.1:8000/u/")
