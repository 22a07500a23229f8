"""Finished notifications are counted in the statement that finishes them, and added up by the hour."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from db import history, lifecycle
from db.database import Unavailable, connection, database, rows
from db.history import WINDOWS, Counts, classes
from db.history.fold import VALUES
from settings import Settings
from tests.eventually import eventually
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, alive, attempt, claimed, draft, suppressed
from tests.integration.test_enqueueing_callbacks import end, endpoint

pytestmark = pytest.mark.usefixtures("store")

DAY = WINDOWS["24h"]


def counted(dimension: str = "type", client: int | None = CLIENT, window: str = "24h") -> dict[str, tuple[int, ...]]:
    """Return sent, failed and cancelled ones by value, after a fold."""
    history.fold(1_000)
    return {value: counts[:3] for value, counts in history.read(client, WINDOWS[window], dimension).values}


def ended(count: int = 1, outcome: str = "sent", **fields: Any) -> None:
    """End this many notifications in one statement."""
    ids = [a.id for a in lifecycle.accept([draft()._replace(**fields) for _ in range(count)], GRACE)]
    held = lifecycle.claim(ids, WORKER)
    settle = lifecycle.sent if outcome == "sent" else lambda one, made: lifecycle.failed(one, made, "exhausted")
    assert len(lifecycle.settle([settle(one, attempt(outcome)) for one in held], GRACE, time.monotonic())) == count


def test_equal_ends_in_one_statement_are_one_row_until_they_are_added_up() -> None:
    ended(5)
    assert rows("SELECT number FROM history_new") == [(5,)]
    assert counted() == {"email": (5, 0, 0)}
    assert rows("SELECT * FROM history_new") == []
    ended(2, "deferred")
    assert counted() == {"email": (5, 2, 0)}


def test_each_final_transition_is_counted_once() -> None:
    end("sent")
    end("refused")
    end("deferred")
    [cancelled, expired, *rest] = accepted(4)
    assert lifecycle.cancel(cancelled, CLIENT)
    assert not lifecycle.cancel(cancelled, CLIENT)
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", expired)
    assert lifecycle.expire(10) == [expired]
    with suppressed("b@example.com"):
        lifecycle.accept([draft("b@example.com")], GRACE)
    with suppressed():
        assert lifecycle.suppress(rest) == rest
    assert counted() == {"email": (1, 5, 1)}


def test_cancel_all_counts_every_cancelled_notification() -> None:
    accepted(3)
    assert len(lifecycle.cancel_all(CLIENT, 10)) == 3
    assert counted() == {"email": (0, 0, 3)}


def test_a_rescue_counts_only_what_it_ends() -> None:
    for attempts, wanted in ((5, {}), (1, {"email": (0, 1, 0)})):
        assert claimed(uuid4())
        lifecycle.rescue(alive(uuid4(), steady_for=31), 30, 600, attempts, 100)
        assert counted() == wanted


def test_a_notification_that_ends_again_after_a_retry_is_counted_again() -> None:
    id = end("refused")
    assert lifecycle.redrive(id, CLIENT, GRACE)
    [held] = lifecycle.claim([id], WORKER)
    end("sent", held=held)
    assert counted() == {"email": (1, 1, 0)}


def test_a_settlement_by_a_stale_worker_is_not_counted() -> None:
    [held] = lifecycle.claim(accepted(), WORKER)
    lifecycle.release([(held.id, held.claim)])
    assert not lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    assert counted() == {}


def test_callbacks_and_sandbox_notifications_are_not_counted() -> None:
    endpoint()
    ended(sandbox=True)
    [(callback,)] = rows("SELECT id FROM notifications WHERE type = 'callback'")
    [held] = lifecycle.claim([callback], WORKER)
    end("sent", held=held)
    assert counted() == {}


def test_each_dimension_is_counted_by_its_values() -> None:
    ended(2, tags=json.dumps(["welcome", "summer"]), template="hello", template_version=1, queue="high")
    ended(1, tags=json.dumps(["welcome"]))
    assert counted("tag") == {"welcome": (3, 0, 0), "summer": (2, 0, 0)}
    assert counted("template") == {"hello": (2, 0, 0)}
    assert counted("priority") == {"high": (2, 0, 0), "normal": (1, 0, 0)}
    assert counted("provider") == {"mail:25": (3, 0, 0)}
    assert counted("client") == {"default": (3, 0, 0)}


def test_counts_are_kept_for_each_client_and_for_all() -> None:
    ended(2)
    ended(1, client_id=2)
    assert counted(client=2) == {"email": (1, 0, 0)}
    assert counted(client=None) == {"email": (3, 0, 0)}
    assert counted("client", None) == {"default": (2, 0, 0), "2": (1, 0, 0)}
    assert counted(client=3) == {}


def test_a_tag_that_resembles_an_address_is_not_stored() -> None:
    tags = json.dumps(["ann@example.com", "welcome", "bob@example.com"])
    ended(2, tags=tags)
    [cancelled] = lifecycle.accept([draft()._replace(tags=tags)], GRACE)
    assert lifecycle.cancel(cancelled.id, CLIENT)
    assert rows("SELECT 1 FROM history_new WHERE tags::text LIKE '%%@%%'") == []
    assert counted("tag") == {"welcome": (2, 0, 1), "": (2, 0, 1)}
    assert rows("SELECT 1 FROM history WHERE value LIKE '%%@%%'") == []


def test_only_the_most_frequent_tags_of_an_hour_keep_their_names() -> None:
    ended(3, tags=json.dumps(["frequent"]))
    for number in range(2 * VALUES):
        ended(1, tags=json.dumps([f"order {number}"]))
    kept = counted("tag", window="7d")
    [(values, total)] = rows(
        "SELECT count(DISTINCT value), sum(number)::int FROM history WHERE dimension = 'tag' AND client_id = %s", CLIENT
    )
    assert kept["frequent"] == (3, 0, 0)
    assert (values, total) == (VALUES + 1, 3 + 2 * VALUES)
    assert list(kept)[-1] == ""


def test_the_time_to_delivery_runs_from_when_it_was_due() -> None:
    for due, bound in ((0.01, 0.1), (7, 10), (20_000, 21_600), (10**6, classes.LONGEST)):
        rows("DELETE FROM history")
        [id] = accepted()
        rows(
            "UPDATE notifications SET created_at = now() - interval '20 days',"
            " send_at = now() - %s * interval '1 second' WHERE id = %s",
            *(due, id),
        )
        [held] = lifecycle.claim([id], WORKER)
        end("sent", held=held)
        history.fold(10)
        total = history.read(CLIENT, DAY, "type").total
        assert (total.p50, total.p95) == (bound, bound)


def test_percentiles_are_upper_bounds_of_time_classes() -> None:
    assert classes.percentile({}, 0.5) is None
    assert classes.percentile({0: 95, 3: 5}, 0.95) == 0.1
    assert classes.percentile({0: 94, 3: 6}, 0.95) == 1
    [(bounds,)] = rows(
        "SELECT prosrc FROM pg_proc WHERE proname = 'delivery_class' AND pronamespace = 'public'::regnamespace"
    )
    assert f"{{{', '.join(f'{bound:g}' for bound in classes.BOUNDS)}}}" in bounds


def test_the_success_rate_excludes_cancelled_notifications() -> None:
    assert Counts(3, 1, 10).success == 0.75
    assert Counts(0, 0, 10).success is None


@pytest.mark.parametrize("name", WINDOWS)
def test_points_cover_the_window_without_a_gap(name: str) -> None:
    window = WINDOWS[name]
    ended(1)
    rows("UPDATE history_new SET at = at - %s * interval '1 hour' + interval '1 hour'", window.hours - window.step)
    history.fold(10)
    ended(2)
    history.fold(10)
    found = history.read(CLIENT, window, "type")
    moments = [moment for moment, _ in found.points]
    assert moments == [found.start + timedelta(hours=window.step * n) for n in range(window.hours // window.step)]
    assert found.start <= datetime.now(UTC) < found.end == moments[-1] + timedelta(hours=window.step)
    assert found.points[-1][1].sent == 2
    assert found.total.sent == sum(counts.sent for _, counts in found.points) == 3


def test_old_hours_are_deleted() -> None:
    ended(1)
    rows("UPDATE history_new SET at = at - interval '32 days'")
    ended(1)
    assert counted() == {"email": (1, 0, 0)}
    old = rows("SELECT count(*) FROM history WHERE hour < now() - interval '31 days'")[0][0]
    assert old > 0
    assert (history.forget(1), history.forget(100), history.forget(100)) == (1, old - 1, 0)
    assert counted() == {"email": (1, 0, 0)}


def test_a_rolled_back_transition_is_not_counted() -> None:
    with database.atomic() as transaction:
        ended(1)
        transaction.rollback()
    assert counted() == {}


def test_a_process_that_dies_while_adding_up_counts_nothing_twice(store: Settings) -> None:
    ended(3)
    failures: list[Exception] = []

    def fold() -> None:
        try:
            with connection():
                history.fold(10)
        except Unavailable as error:
            failures.append(error)
        finally:
            database.close()

    with psycopg2.connect(store.database.url) as other:
        # The fold deletes the new ends and then waits for this row, where it is killed.
        other.cursor().execute(
            "INSERT INTO history SELECT 0, 'client', date_trunc('hour', at, 'UTC'), '1', 'sent', class, 1"
            " FROM history_new"
        )
        folding = threading.Thread(target=fold)
        folding.start()
        _kill_the_fold()
        folding.join()
        other.rollback()
    assert failures
    assert counted() == {"email": (3, 0, 0)}
    assert counted("client", None) == {"default": (3, 0, 0)}


def _kill_the_fold() -> None:
    """Kill the fold once it waits for a lock."""
    eventually(
        lambda: rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND query LIKE '%%history_new%%' AND datname = current_database()"
        )
    )


def test_only_one_process_at_a_time_adds_up(store: Settings) -> None:
    ended(1)
    with psycopg2.connect(store.database.url) as other:
        other.cursor().execute(
            "SELECT pg_advisory_xact_lock(7021972, oid::int) FROM pg_namespace WHERE nspname = current_schema()"
        )
        assert history.fold(10) == 0
    assert history.fold(10) == 1
