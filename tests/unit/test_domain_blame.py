"""Tell a "not now" about one domain from one about all that we send."""

from __future__ import annotations

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Throttled, Undelivered
from actors.channels.email.domain_blame import BEGINNING, LATELY, SAME_MATTER, DomainBlame

NOW = 1_000.0
SLOW = "slow.example"


def blame(*through: str, at: float = NOW - 1) -> DomainBlame:
    """Return a blame that knows mails to these domains as taken."""
    known = DomainBlame()
    for domain in through:
        known.took((at, f"ann@{domain}"))
    return known


def refusal(
    kind: type[Undelivered], code: int | None, enhanced: str | None = None, text: str = "", phase: str = "rcpt"
) -> Undelivered:
    return kind(f"{code} {enhanced or ''} {text}", phase=phase, reply_code=code, enhanced_code=enhanced)


def test_it_is_the_domains_if_several_others_get_through() -> None:
    assert blame("a.example", "b.example").is_domains(SLOW, NOW, limited=False)


@pytest.mark.parametrize(
    "known",
    [
        blame(),
        blame("a.example", "a.example", "A.example"),
        blame("a.example", SLOW),
        blame("a.example", "b.example", at=NOW - LATELY - 1),
    ],
    ids=["nothing is sent", "one other", "one other and itself", "others long ago"],
)
def test_it_is_ours_if_others_do_not_get_through(known: DomainBlame) -> None:
    assert not known.is_domains(SLOW, NOW, limited=False)


def test_it_is_ours_if_several_domains_begin_at_the_same_time() -> None:
    known = blame("a.example", "b.example", "c.example", "d.example", "e.example")

    found = [known.is_domains(domain, NOW, limited=False) for domain in ("a.example", "b.example", "c.example")]

    assert found == [True, True, False]
    assert known.forgiven() == ["a.example", "b.example", "c.example"]
    assert known.forgiven() == []


def test_domains_that_begin_one_after_the_other_are_slow_each_for_itself() -> None:
    for number in range(5):
        known = blame("x.example", "y.example", at=NOW + number * BEGINNING)
        assert known.is_domains(f"d{number}.example", NOW + number * BEGINNING, limited=False)


def test_a_domain_that_is_known_to_be_slow_stays_to_blame_while_nothing_else_is_sent() -> None:
    assert blame().is_domains(SLOW, NOW, limited=True)


def test_a_domain_that_is_known_to_be_slow_is_not_to_blame_when_others_refuse_and_none_gets_through() -> None:
    known = blame()
    known.is_domains("a.example", NOW, limited=False)

    assert not known.is_domains(SLOW, NOW, limited=True)


@pytest.mark.parametrize(
    ("given", "means_it"),
    [
        (refusal(Throttled, 454, "4.7.0", "too fast"), True),
        (refusal(ProviderDown, 421, None, "try later"), True),
        (refusal(ProviderDown, 421, "4.3.2", "closing", "data"), True),
        (refusal(ProviderDown, 421, None, "try later", "mail"), False),
        (refusal(Throttled, 421, None, "too many connections", "connect"), False),
        (refusal(Deferred, 450, "4.7.1", "greylisted, try again in 300 seconds"), False),
        (refusal(Deferred, 421, "4.7.1", "greylisted"), False),
        (refusal(Deferred, 451, "4.7.24", "SPF lookup failed"), False),
        (refusal(Deferred, 450, "4.2.1", "busy"), False),
        (refusal(Deferred, 452, "4.2.2", "mailbox full"), False),
        (refusal(Refused, 550, "5.7.1", "no"), False),
        (refusal(Deferred, None, None, "no connection"), False),
    ],
    ids=str,
)
def test_which_refusals_mean_not_now(given: Undelivered, means_it: bool) -> None:
    assert blame().is_throttle(given, f"ann@{SLOW}", SLOW, NOW) is means_it


@pytest.mark.parametrize(("code", "enhanced"), [(450, None), (451, "4.7.1"), (450, "4.7.0")])
def test_a_code_without_words_means_it_when_a_second_recipient_meets_it(code: int, enhanced: str | None) -> None:
    known, given = blame(), refusal(Deferred, code, enhanced)

    first = known.is_throttle(given, f"ann@{SLOW}", SLOW, NOW)
    same = known.is_throttle(given, f"ann@{SLOW}", SLOW, NOW + 1)
    second = known.is_throttle(given, f"bob@{SLOW}", SLOW, NOW + 2)
    long_after = known.is_throttle(given, f"eve@{SLOW}", SLOW, NOW + 3 + SAME_MATTER)

    assert (first, same, second, long_after) == (False, False, True, False)


def test_a_code_without_words_is_about_the_recipient_while_the_domain_takes_others() -> None:
    known, given = blame(SLOW), refusal(Deferred, 450)
    known.is_throttle(given, f"ann@{SLOW}", SLOW, NOW)

    assert not known.is_throttle(given, f"bob@{SLOW}", SLOW, NOW + 1)
