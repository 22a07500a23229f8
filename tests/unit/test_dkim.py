"""DKIM signatures, judged by dkimpy."""

from __future__ import annotations

import re
from collections.abc import Sequence

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.email.dkim import sign
from actors.channels.email.mail import compose
from actors.channels.email.mailboxes import Mailbox
from tests import random_mails
from tests.dkim_keys import key, txt

AT = 1_700_000_000
BOTH = ("ed25519", "rsa")
SENDER = Mailbox("Shop", "noreply@example.com")
PLAIN = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Hi\r\nDate: now\r\nMessage-ID: <1@example.com>\r\n"
MAIL = PLAIN + b"Reply-To: c@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nHello\r\n"


def signed(content: bytes, algorithms: Sequence[str] = BOTH) -> bytes:
    return sign(content, [key(algorithm) for algorithm in algorithms], AT)


def passing(content: bytes) -> list[bool]:
    """Return what dkimpy says of each signature, from top to bottom."""
    found = dkim.DKIM(content)
    count = content.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    return [_passes(found, number) for number in range(count)]


def _passes(found: dkim.DKIM, number: int) -> bool:
    try:
        return bool(found.verify(number, dnsfunc=txt))
    except dkim.ValidationError:  # The body was changed.
        return False


def names(content: bytes) -> list[str]:
    """Return the names in h= of the first signature."""
    value = re.search(rb"h=([^;]*);", content)
    assert value
    return "".join(value[1].decode().split()).split(":")


def test_signatures_of_random_mails_verify_with_both_algorithms() -> None:
    for notification, contents in random_mails.mails(1, 150):
        content = signed(compose(notification, SENDER, contents).content)
        assert passing(content) == [True, True], notification


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"=", b"."]), max_size=30).map(b"".join))
def test_the_signature_of_a_mail_with_any_white_space_verifies(text: bytes) -> None:
    fields = MAIL.replace(b"Hi", b"Hi" + re.sub(rb"(\r\n)+[ \t]*", b"\r\n x", text))
    assert passing(signed(fields + text, ["rsa"])) == [True]


def test_the_signature_of_an_empty_body_verifies() -> None:
    assert passing(signed(PLAIN + b"\r\n")) == [True, True]


def test_the_rsa_signature_comes_first_for_verifiers_without_ed25519() -> None:
    assert re.findall(rb"a=([a-z0-9-]+)", signed(MAIL)) == [b"rsa-sha256", b"ed25519-sha256"]


@pytest.mark.parametrize(
    "field", ["From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID", "MIME-Version", "Content-Type"]
)
def test_an_added_signed_field_breaks_the_signature(field: str) -> None:
    content = signed(MAIL)

    assert passing(content) == [True, True]
    added = f"{field}: x\r\n".encode()
    assert passing(added + content) == [False, False]
    assert passing(content.replace(b"\r\n\r\n", b"\r\n%b\r\n" % added)) == [False, False]


@pytest.mark.parametrize(("old", "new"), [(b"Hello", b"Hallo"), (b"Hi", b"Ho"), (b"a@example", b"b@example")])
def test_a_changed_mail_breaks_the_signature(old: bytes, new: bytes) -> None:
    assert passing(signed(MAIL).replace(old, new)) == [False, False]


def test_text_appended_to_the_body_breaks_the_signature() -> None:
    content = signed(MAIL)

    assert passing(content + b"Buy!\r\n") == [False, False]
    assert b" l=" not in content
    assert b" x=" not in content


def test_fields_for_unsubscribing_and_feedback_are_signed_if_present() -> None:
    more = (
        b"List-Unsubscribe: <https://x/>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: 1:2\r\n"
    )
    content = signed(more + MAIL)

    assert {"list-unsubscribe", "list-unsubscribe-post", "feedback-id"} <= set(names(content))
    assert not {"list-unsubscribe", "list-unsubscribe-post", "feedback-id"} & set(names(signed(MAIL)))
    assert passing(content.replace(b"One-Click", b"Two-Click")) == [False, False]


def test_signature_lines_are_short_and_h_is_folded_after_colons() -> None:
    content = signed(MAIL, ["rsa"])
    field = content.partition(b"\r\nFrom:")[0]
    value = re.search(rb"h=([^;]*);", field)

    assert max(map(len, field.split(b"\r\n"))) <= 80
    assert value
    assert all(line.endswith(b":") for line in value[1].split(b"\r\n")[:-1])


def test_the_same_mail_and_keys_give_the_same_bytes() -> None:
    assert signed(MAIL) == signed(MAIL)
    assert b"t=%d;" % AT in signed(MAIL)


def test_the_mail_below_the_signatures_is_untouched() -> None:
    assert signed(MAIL).endswith(b"\r\n" + MAIL)
    assert sign(MAIL, [], AT) == MAIL
