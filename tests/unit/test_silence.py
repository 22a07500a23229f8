"""A provider is judged by its own history: real silences are noticed in hours, and usual noise is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timezone

import pytest

from db.silence import BEFORE, ENOUGH, HOUR, LEAST, MOST, RARE_ENOUGH, Judged, Numbers, judge

END = datetime(2027, 3, 8, 12, tzinfo=UTC)
PAST = BEFORE * 24 + LEAST


def hours(sent: int, share: float, silent: int = 0, now: float = 0.0, past: int = PAST) -> dict[datetime, Numbers]:
    """Return `past` hours with the same numbers, of which the last `silent` ones have the share `now`."""
    shares = [now if number <= silent else share for number in range(1, past + 1)]
    return {END - number * HOUR: (sent, round(sent * one)) for number, one in enumerate(shares, 1)}


def silent(numbers: dict[datetime, Numbers], usual: float | None = None) -> bool | None:
    judged = judge(numbers, END, usual)
    return None if judged is None else judged.silent


def test_a_provider_whose_reports_stop_is_silent_within_hours() -> None:
    assert judge(hours(100, 0.95, silent=3), END) == Judged(True, 3, 300, 0, 0.95)
    assert silent(hours(100, 0.95, silent=2)) is False


@pytest.mark.parametrize(("now", "expected"), [(0.2, True), (0.3, False), (0.9, False)])
def test_a_share_far_below_the_usual_one_is_a_silence(now: float, expected: bool) -> None:
    assert silent(hours(100, 0.95, silent=3, now=now)) is expected


@pytest.mark.parametrize(("now", "expected"), [(0.0, True), (0.3, True), (0.5, False), (0.95, False)])
def test_a_silent_provider_is_heard_from_half_of_the_usual_share_on(now: float, expected: bool) -> None:
    assert silent(hours(100, 0.95, silent=PAST, now=now), 0.95) is expected


def test_more_hours_are_judged_if_little_is_sent() -> None:
    few = hours(1, 1.0, silent=30)
    judged = judge(few, END)
    assert judged is not None
    assert (judged.silent, judged.hours) == (True, ENOUGH)
    assert silent(hours(1, 1.0, silent=14)) is False


def test_a_night_after_a_day_of_silence_is_still_silent() -> None:
    day = hours(100, 0.95, silent=10)
    night = {END - number * HOUR: (0, 0) for number in range(1, 7)}
    assert judge(day | night, END) == Judged(True, 7, 100, 0, 0.95)
    assert silent(day | night, 0.95) is True


def test_too_few_notifications_are_no_evidence_of_silence() -> None:
    assert judge({}, END) is None
    assert silent(hours(100, 0.0)) is None
    assert silent(hours(100, 0.95, past=24 + LEAST)) is None
    nothing_sent = {at: numbers for at, numbers in hours(100, 0.95).items() if at < END - MOST * HOUR}
    assert judge(nothing_sent, END) is None


def test_a_provider_that_never_reported_before_is_judged_from_its_first_report_on() -> None:
    unknown = {END - number * HOUR: (100, 0) for number in range(60, PAST)}
    assert silent(hours(100, 0.95, silent=3, past=60) | unknown) is True


def test_a_provider_that_reports_only_failures_is_silent_if_nothing_comes() -> None:
    assert silent(hours(5_000, 0.01, silent=3, now=0.0002)) is False
    judged = judge(hours(5_000, 0.01, silent=3), END)
    assert judged is not None
    assert judged.silent
    assert judged.sent * judged.usual >= RARE_ENOUGH
    assert silent(hours(10, 0.01, silent=MOST)) is None


def test_one_day_with_many_failures_does_not_change_what_is_usual() -> None:
    campaign = {END - number * HOUR: (100_000, 8_000) for number in range(30, 54)}
    assert silent(hours(4_000, 0.01) | campaign) is False


VOLUMES: dict[str, Callable[[int], float]] = {
    "steady": lambda _: 40,
    "office hours": lambda hour: 60 if 8 <= hour < 18 else 0.5,
    "little": lambda _: 0.8,
    "bursts": lambda hour: 20_000 if hour == 10 else 2,
}


def reported(chance: random.Random, sent: int, share: float) -> int:
    """Draw how many of the sent ones are reported."""
    if sent < 500:
        return sum(chance.random() < share for _ in range(sent))
    drawn = round(chance.gauss(sent * share, (sent * share * (1 - share)) ** 0.5))
    return min(sent, max(0, drawn))


@pytest.mark.parametrize("share", [0.97, 0.6, 0.02])
@pytest.mark.parametrize("volume", VOLUMES)
def test_a_month_of_usual_noise_is_no_silence(volume: str, share: float) -> None:
    chance = random.Random(f"{volume} {share}")
    made: dict[datetime, Numbers] = {}
    for number in range(1, 45 * 24):
        at = END - number * HOUR
        sent = round(chance.expovariate(1) * VOLUMES[volume](at.hour))
        # The share of an hour varies by itself, as lists and recipients do.
        made[at] = (sent, reported(chance, sent, min(1.0, share * chance.uniform(0.7, 1.2))))
    found = [judge(made, END - number * HOUR) for number in range(30 * 24)]
    assert [one for one in found if one is not None and one.silent] == []
    # Where too little is reported to tell, nothing is judged.
    assert any(found) is (share >= 0.5 or VOLUMES[volume](10) > 1_000)


@pytest.mark.parametrize(("volume", "within"), [("steady", 3), ("office hours", 24), ("bursts", 24), ("little", 60)])
def test_a_stop_is_noticed_in_time(volume: str, within: int) -> None:
    stop = END - within * HOUR
    made = {
        at: (sent, 0 if at >= stop else round(sent * 0.9))
        for number in range(1, PAST + 72)
        if (sent := round(VOLUMES[volume]((at := END - number * HOUR).hour))) >= 0
    }
    noticed = judge(made, END)
    assert noticed is not None
    assert noticed.silent


def test_times_of_other_zones_are_the_same_hours() -> None:
    there = {at.astimezone(timezone(5 * HOUR)): numbers for at, numbers in hours(100, 0.95, silent=3).items()}
    assert silent(there) is True
