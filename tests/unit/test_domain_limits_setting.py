"""DOMAIN_LIMITS: what it means, and what a wrong value says."""

from __future__ import annotations

import pytest

import settings
from settings.domain_limits import DomainLimit, parse
from settings.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", {}),
        (" ; ", {}),
        ("gmail.com=20/s,5", {"gmail.com": DomainLimit(20.0, 5)}),
        (
            "Gmail.COM = 5 , 20/s ; yahoo.com=10/s;",
            {"gmail.com": DomainLimit(20.0, 5), "yahoo.com": DomainLimit(10, None)},
        ),
        ("example.org=3", {"example.org": DomainLimit(None, 3)}),
        ("example.org=300/h", {"example.org": DomainLimit(300 / 3_600, None)}),
        ("example.org=90/min", {"example.org": DomainLimit(1.5, None)}),
        ("bücher.example=0.5/s", {"xn--bcher-kva.example": DomainLimit(0.5, None)}),
    ],
)
def test_limits_are_read_by_domain(text: str, limits: dict[str, DomainLimit]) -> None:
    assert parse("DOMAIN_LIMITS", text) == limits


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("gmail.com", "gmail.com"),
        ("gmail.com=", "gmail.com="),
        ("=20/s", "=20/s"),
        ("gmail=20/s", "gmail=20/s"),
        ("a b.com=20/s", "a b.com=20/s"),
        ("gmail.com=20", None),
        ("gmail.com=20/d", "gmail.com=20/d"),
        ("gmail.com=0/s", "gmail.com=0/s"),
        ("gmail.com=0", "gmail.com=0"),
        ("gmail.com=-1/s", "gmail.com=-1/s"),
        ("gmail.com=1e9/s", "gmail.com=1e9/s"),
        ("gmail.com=100001/s", "gmail.com=100001/s"),
        ("gmail.com=1001", "gmail.com=1001"),
        ("gmail.com=20/s,5,6", "gmail.com=20/s,5,6"),
        ("gmail.com=20/s,30/s", "gmail.com=20/s,30/s"),
        ("gmail.com=٢٠/s", "gmail.com=٢٠/s"),
        ("gmail.com=20/s;x", "x"),
        ("gmail.com=20/s yahoo.com=10/s", "gmail.com=20/s yahoo.com=10/s"),
    ],
)
def test_a_wrong_value_names_the_setting_the_part_and_the_fix(text: str, quoted: str | None) -> None:
    if quoted is None:
        assert parse("DOMAIN_LIMITS", text) == {"gmail.com": DomainLimit(None, 20)}
        return
    with pytest.raises(SettingsError) as wrong:
        parse("DOMAIN_LIMITS", text)

    assert str(wrong.value).startswith(f"DOMAIN_LIMITS has {quoted!r}: ")
    assert "gmail.com=20/s,5" in str(wrong.value)


def test_a_domain_that_is_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"has gmail\.com twice: give it once"):
        parse("DOMAIN_LIMITS", "gmail.com=20/s;GMAIL.com=5")


def test_a_wrong_value_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="DOMAIN_LIMITS has 'gmail': give a domain"):
        settings.read({"DOMAIN_LIMITS": "gmail"})


@pytest.mark.parametrize("daily", ["0", "-1", "1.5", "1e3", "many", "1000000000", "", "50000/day"])
def test_a_wrong_daily_limit_names_the_option_and_its_bounds(daily: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        settings.read({"PROVIDER_MAIN": f"smtp://localhost?daily={daily}"})

    assert str(wrong.value) == f"PROVIDER_MAIN has daily={daily}: give a number from 1 to 999999999"


def test_a_daily_limit_stands_beside_a_rate() -> None:
    [provider] = settings.read({"PROVIDER_MAIN": "smtp://localhost?rate=14&daily=50000"}).providers

    assert (provider.rate, provider.daily) == (14.0, 50_000)
