"""The records in DNS are compared with those that a domain needs: found, missing, or wrong with the difference."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from actors.channels.email.domains.comparing import LONGEST_SHOWN, MOST_SHOWN, compared
from actors.channels.email.domains.records import Envelope, Wanted, wanted, zone_line
from db.domain_keys import DomainKey

P = "MIIB" + "k" * 388
AT = datetime(2026, 11, 1, tzinfo=UTC)
KEY = DomainKey(1, 1, "rsa", "n1", P, AT, None, None, None)
DKIM, SPF, RETURN_PATH, DMARC = wanted("example.com", [KEY], Envelope("_spf.example.net"))
OURS = f"v=DKIM1; k=rsa; p={P}"


def comparison(record: Wanted, *values: str) -> tuple[str, str]:
    found = compared(record, values)
    return found.state, found.detail


def test_the_records_say_what_to_publish() -> None:
    assert [(one.purpose, one.name, one.required) for one in (DKIM, SPF, RETURN_PATH, DMARC)] == [
        ("dkim", "n1._domainkey.example.com", True),
        ("spf", "example.com", False),
        ("return-path", "example.com", False),
        ("dmarc", "_dmarc.example.com", False),
    ]
    assert DKIM.value == OURS
    assert SPF.value == "v=spf1 include:_spf.example.net ~all"
    assert [one.purpose for one in wanted("example.com", [KEY], Envelope())] == ["dkim", "return-path", "dmarc"]


def test_with_a_return_path_domain_spf_and_mx_records_are_for_that_domain() -> None:
    found = wanted("example.com", [KEY], Envelope("_spf.example.net", "bounces.example.com"))

    assert {one.purpose: one.name for one in found} == {
        "dkim": "n1._domainkey.example.com",
        "spf": "bounces.example.com",
        "return-path": "bounces.example.com",
        "dmarc": "_dmarc.example.com",
    }


def test_the_record_of_an_old_key_is_not_required() -> None:
    [old, *_] = wanted("example.com", [KEY._replace(signs_from=AT, signs_until=AT)], Envelope())
    assert not old.required


def test_a_long_value_is_split_into_strings_of_255_characters_in_a_zone_file() -> None:
    line = zone_line(DKIM)
    strings = line.split('"')[1::2]

    assert line.startswith("n1._domainkey.example.com. IN TXT ")
    assert [len(one) for one in strings] == [255, len(OURS) - 255]
    assert "".join(strings) == OURS


@pytest.mark.parametrize(
    "value",
    [
        *(OURS, f"k=rsa; p={P}", f"p={P}"),
        *(f" v = DKIM1 ;k=rsa;p={P[:99]} {P[99:]};", f"{OURS}; t=s; h=sha1:sha256; s=email"),
    ],
)
def test_a_published_key_is_found_in_any_spelling(value: str) -> None:
    assert comparison(DKIM, value) == ("found", "")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("v=DKIM1; k=rsa", "it has no p="),
        ("hello", "it has no p="),
        ("v=DKIM1; p=", "revoked"),
        (f"v=DKIM1; k=rsa; p={P[:220]}", "ends after 220 of 392 characters"),
        (f"v=DKIM1; k=rsa; p={P[:10]}X{P[11:]}", "differs from character 11 on"),
        (f"v=DKIM1; k=rsa; p={P}X", "differs from character 393 on"),
        (f"v=DKIM2; p={P}", "its v= is DKIM2"),
        (f"k=ed25519; p={P}", "its k= is ed25519, not rsa"),
        (f"{OURS}; h=sha1", "remove h="),
        (f"{OURS}; s=tlsrpt", "remove s="),
        (f"{OURS}; t=y:s", "remove t=y"),
    ],
)
def test_a_wrong_key_is_reported_with_the_difference(value: str, said: str) -> None:
    state, detail = comparison(DKIM, value)

    assert state == "wrong"
    assert said in detail


def test_without_a_record_the_key_is_missing_and_with_two_it_is_wrong() -> None:
    assert comparison(DKIM)[0] == "missing"
    assert comparison(DKIM, OURS, OURS) == ("wrong", "there are 2 TXT records at this name: leave only ours")


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (["v=spf1 include:_spf.example.net ~all"], "found"),
        (["other", "V=SPF1 mx +INCLUDE:_spf.example.net -all"], "found"),
        ([], "missing"),
        (["v=spf10 include:_spf.example.net ~all"], "missing"),
        (["v=spf1 mx -all"], "wrong"),
        (["v=spf1 include:_spf.example.net.evil.test ~all"], "wrong"),
        (["v=spf1 include:_spf.example.net ~all", "v=spf1 -all"], "wrong"),
    ],
)
def test_spf_must_include_our_servers_once(values: list[str], state: str) -> None:
    assert comparison(SPF, *values)[0] == state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (["v=DMARC1; p=none"], "found"),
        (["v=DMARC1;p=reject; rua=mailto:a@example.com"], "found"),
        ([], "missing"),
        (["v=spf1 -all"], "missing"),
        (["v=DMARC1; p=maybe"], "wrong"),
        (["v=DMARC1"], "wrong"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "wrong"),
    ],
)
def test_dmarc_needs_one_policy(values: list[str], state: str) -> None:
    assert comparison(DMARC, *values)[0] == state


@pytest.mark.parametrize(
    ("values", "state"), [(["10 mail.example.com."], "found"), ([], "missing"), (["0 ."], "wrong")]
)
def test_the_domain_of_bounces_needs_an_mx_record(values: list[str], state: str) -> None:
    assert comparison(RETURN_PATH, *values)[0] == state


def test_a_record_is_unknown_if_dns_does_not_answer() -> None:
    assert compared(DKIM, None).state == "unknown"


def test_found_records_are_shown_shortened_and_printable() -> None:
    found = compared(DKIM, ["\x1b[2J\n" + "x" * 5_000] * 50).found

    assert len(found) == MOST_SHOWN
    assert all(one.isprintable() and len(one) == LONGEST_SHOWN for one in found)
