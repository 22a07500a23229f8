"""What is a mail address: the fast answer and the library's are the same one."""

from __future__ import annotations

import string

import pytest
from email_validator import validate_email
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from api import addresses
from api.addresses import address_fault

# What the fast path takes but for its lengths, and what is near to it.
atom = st.text(string.ascii_letters + string.digits + "!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=30)
label = st.from_regex(addresses._LABEL, fullmatch=True)
tops = st.text(string.ascii_letters, min_size=2, max_size=20) | st.sampled_from(["local", "localhost", "test", "XN"])
plain = st.builds(
    lambda local, labels, top: f"{'.'.join(local)}@{'.'.join(labels)}.{top}",
    st.lists(atom, min_size=1, max_size=4),
    st.lists(label, min_size=1, max_size=4),
    tops,
)
atoms = st.text("abXY01!#$%&'*+/=?^_`{|}~-.\"(),:;<>@[\\] é", min_size=1, max_size=70)
nearly = st.builds("{}@{}.{}".format, atoms, st.text("abXY01-_.", min_size=1, max_size=64), tops)


@settings(max_examples=300, deadline=None)
@given(address=plain)
@example(address="a@xn--a.com")
@example(address="a@ab--cd.com")
@example(address=f"{'a' * 64}@{'b' * 20}.com")
@example(address=f"a@{'.'.join(['b' * 20] * 12)}.com")
@example(address="a@b.com\n")
def test_what_the_fast_path_accepts_the_library_accepts_too(address: str) -> None:
    assume(addresses._PLAIN.match(address))

    validate_email(address, check_deliverability=False, globally_deliverable=False)


@given(address=nearly | st.text())
def test_a_fault_is_a_sentence(address: str) -> None:
    fault = address_fault(address)

    assert fault is None or fault.endswith(".")


def test_nearly_all_addresses_take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "validate_email", None)

    for address in ("jane.doe@example.com", "x@a-b.co.uk", "O'Brien+tag@mail.example", "n0-reply@sub.dom.example"):
        assert address_fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        *("jörg@exämple.com", "用户@例え.jp", "a@xn--exmple-cua.com", "a@intern", "root@localhost", "a@host.local"),
        *(f"{'a' * 64}@example.com", f"a@{'b' * 63}.com"),
        *('"a..b"@docomo.ne.jp', '"a."@b.c', "a..b@docomo.ne.jp", "a.@docomo.ne.jp"),
    ],
)
def test_unusual_addresses_are_addresses(address: str) -> None:
    assert address_fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "@", "a@", "@b.c", "a@b@c.d", "a b@c.d", "a@b c.d", ".a@b.c", "a.@b.c", "a..b@c.d", "a@b..c"),
        *("a@-b.c", "a@b-.c", "a@.b.c", "a@[127.0.0.1]", '"a"@b.c', "A <a@b.c>", "a@b.c,d@e.f", "a@b.c\n", "\ta@b.c"),
        *("a\0@b.c", "a@b.c\0", "a\r\n@b.c", "\u202ea@b.c", "a\u200b@b.c", "a@exa\u00admple.com\u2028", "a\uff20b.c"),
        *('""@b.c', '"a b"@b.c', '"a\\"b"@b.c', '"<a@b.c>,"@b.c', '"a,b"@b.c'),
        *("=?utf-8?q?a?=@b.c", '"=?utf-8?b?YQ==?="@b.c', '"a"b"@b.c', '"a@b.c', "a b@docomo.ne.jp"),
        *(f"{'a' * 251}@b.c", f"a@{'b' * 64}.com", f"a@{'b.' * 130}com"),
    ],
)
def test_what_is_no_address_has_a_fault(address: str) -> None:
    assert address_fault(address)
