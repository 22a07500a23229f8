"""Rates between two readings of the statistics, and the lines of a view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from cli.top.sample import Sample, View, rates
from cli.top.screen import BAD, WORKERS, document, lines
from db.drain import InFlight
from db.failing import Failure
from db.live_stats import LiveStats, PriorityStats, Provider, Worker
from db.pauses import Pause

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOB = uuid4()


def worker(started: float = -100, alive: bool = True, **counters: int) -> Worker:
    return Worker(BOB, "host", 7, 8, NOW + timedelta(seconds=started), 0.5 if alive else 90, alive, counters)


def live_stats(after: float = 0, accepted: int = 0, *workers: Worker) -> LiveStats:
    return LiveStats(NOW.timestamp() + after, accepted, {}, [], list(workers))


def view(now: LiveStats, **more: object) -> View:
    parts: dict[str, object] = {"in_flight": InFlight(0, 0.0), "depths": {}, "paused": [], "failures": []}
    return View(Sample(now, **parts | more), {})  # type: ignore[arg-type]


def text(shown: View) -> str:
    return "\n".join(line.text for line in lines(shown))


def bad(shown: View) -> list[str]:
    return [line.text for line in lines(shown) if line.style == BAD]


def test_a_rate_is_the_growth_of_a_count_per_second() -> None:
    before, now = live_stats(0, 100, worker(sent=10)), live_stats(4, 120, worker(sent=30, failed=2))
    assert rates(before, now) == {"accepted": 5.0, "sent": 5.0, "failed": 0.5, "retried": 0.0}


def test_a_worker_that_has_just_started_counts_from_nothing() -> None:
    assert rates(live_stats(0), live_stats(2, 0, worker(started=1, sent=8)))["sent"] == 4.0


def test_the_first_reading_of_an_older_worker_adds_nothing_to_the_rates() -> None:
    assert rates(live_stats(0), live_stats(2, 0, worker(started=-100, sent=8_000)))["sent"] == 0.0


def test_a_worker_that_has_ended_lowers_no_rate() -> None:
    assert rates(live_stats(0, 5, worker(sent=10)), live_stats(2, 5))["sent"] == 0.0


def test_one_reading_alone_has_no_rates() -> None:
    assert rates(live_stats(0), live_stats(0)) == {}
    assert "rates come with the next update" in text(view(live_stats()))


def test_problems_are_listed_first_and_highlighted() -> None:
    now = live_stats()._replace(providers=[Provider("mail:25", NOW, "connect: \x1b[31mrefused", 30.0)])
    shown = view(now, paused=[Pause("channel", "email", NOW), Pause("client", "7", NOW)])
    assert bad(shown) == [
        "BREAKER OPEN  mail:25, next try in 30 s: connect: \\u001b[31mrefused",
        "PAUSED  email; to send again: notify resume --all",
        "NO WORKER IS ALIVE; to start some: dramatiq actors -p 2 -t 8",
    ]
    assert "Paused or disabled clients: 1" in text(shown)


def test_a_closed_breaker_is_not_shown_as_a_problem() -> None:
    now = live_stats(0, 0, worker())._replace(providers=[Provider("mail:25", None, "refused", None)])
    assert bad(view(now)) == []


def test_priorities_are_listed_with_counts_up_to_a_bound() -> None:
    now = live_stats()._replace(priorities={"bulk": PriorityStats(10_000, 61.0)})
    shown = text(view(now)).splitlines()
    [bulk] = [line for line in shown if line.startswith("bulk")]
    assert bulk.split() == ["bulk", "10,000+", "1", "min", "unknown", "unknown"]


def test_silent_workers_are_shown_among_many_others() -> None:
    many = [worker() for _ in range(20)] + [worker(alive=False)]
    shown = text(view(live_stats(0, 0, *many)))
    assert "silent 2 min" in shown
    assert shown.endswith(f"and {21 - WORKERS} more: notify workers")


def test_failures_are_shown_with_their_age_and_their_full_reason() -> None:
    error = "550 " + "no such user " * 10
    failure = Failure(7, "shop", "email", "rejected", NOW - timedelta(seconds=90), error)
    shown = text(view(live_stats(), failures=[failure]))
    assert "7   shop    rejected  2 min  550 no such user" in shown
    assert error.strip() in shown


def test_a_server_that_does_not_answer_is_named_above_the_last_view() -> None:
    assert bad(View(None, {}, "The database cannot be asked: refused"))[0].endswith("refused")
    shown = view(live_stats(0, 0, worker()))._replace(trouble="Redis \x07 is away")
    assert bad(shown) == ["Redis \\u0007 is away"]


def test_the_json_omits_rates_that_are_not_known() -> None:
    first = document(view(live_stats(0, 0, worker(sent=3))))
    assert (first["perSecond"], first["inFlight"], first["trouble"]) == (None, 0, None)
    assert first["workers"][0]["counters"] == {"sent": 3}
    assert first["workers"][0]["startedAt"] == NOW - timedelta(seconds=100)
    assert document(View(None, {}, "away")) == {"at": None, "trouble": "away"}


@pytest.mark.parametrize("shown", [view(live_stats()), View(None, {}, "away")])
def test_a_value_with_line_breaks_is_shown_on_one_line(shown: View) -> None:
    assert not any("\n" in line.text for line in lines(shown))
