"""Validation of mail addresses: the fast path and the library give the same answer."""

from __future__ import annotations

import string

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, example, given
from hypothesis import strategies as st

from actors.channels.email import addresses
from actors.channels.email.addresses import address_fault
from actors.channels.email.mailboxes import on_the_wire, unquoted

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
odd = st.builds("{}{}@{}.com".format, atoms, st.sampled_from(["", "é", "日"]), st.text("abü日。xn--\u0301א.@<>[]"))


def _library_accepts(address: str) -> bool:
    """The library's verdict, and the rules that it does not have."""
    try:
        if addresses._ODD_DOTS.fullmatch(address):
            address = on_the_wire(address)
        quoted = addresses._QUOTED_DOTS.fullmatch(address) is not None
        if quoted and unquoted(address) != address:
            return False
        validate_email(address, check_deliverability=False, globally_deliverable=False, allow_quoted_local=quoted)
        on_the_wire(address)
    except ValueError:
        return False
    return True


@given(address=plain)
@example(address="a@xn--a.com")
@example(address="a@ab--cd.com")
@example(address=f"{'a' * 64}@{'b' * 20}.com")
@example(address=f"a@{'.'.join(['b' * 20] * 12)}.com")
@example(address="a@b.com\n")
def test_addresses_that_the_fast_path_accepts_are_accepted_by_the_library_too(address: str) -> None:
    assume(addresses._PLAIN.match(address))

    validate_email(address, check_deliverability=False, globally_deliverable=False)


@given(address=nearly | st.text())
def test_the_fault_of_an_address_is_a_sentence(address: str) -> None:
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
def test_unusual_valid_addresses_are_accepted(address: str) -> None:
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
def test_an_invalid_address_has_a_fault(address: str) -> None:
    assert address_fault(address)


@given(address=nearly | st.text() | odd)
@example(address=f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}")
@example(address=f"é{'a' * 64}@{'ü' * 40}.{'ü' * 40}.{'ü' * 40}")
@example(address="a@\u0338b.c")
@example(address="a@")
@example(address="A <a@b.c>")
def test_a_cached_domain_gives_the_same_fault_as_an_uncached_one(address: str) -> None:
    address_fault(address)
    kept = address_fault(address)
    addresses._domain_fault.cache_clear()

    assert kept == address_fault(address)
    assert (kept is None) == _library_accepts(address)


def test_a_domain_is_checked_once_for_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr(addresses, "validate_email", lambda address, **_: looked_at.append(address))
    addresses._domain_fault.cache_clear()
    domain = "xn--exmple-cua.example"

    for number in range(100, 200):
        assert address_fault(f"person{number}@{domain}") is None

    assert looked_at == [f"aaaaaaaaa@{domain}"]


def test_a_refused_domain_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []

    def refuse(address: str, **_: object) -> None:
        looked_at.append(address)
        raise EmailNotValidError("no such thing")

    monkeypatch.setattr(addresses, "validate_email", refuse)
    addresses._domain_fault.cache_clear()

    assert {address_fault(f"a{number}@xn--a9.example") for number in range(10)} == {"No such thing."}
    assert looked_at == ["aa@xn--a9.example"]
