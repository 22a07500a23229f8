"""A provider that takes notifications and reports none any more is noticed, and told of once."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from actors import silence as watching
from cli.doctor import reports as probe
from db import callbacks, database, incoming_reports, lifecycle, live_stats, providers, silence
from db.database import connection, rows
from db.incoming_reports import Incoming
from db.lifecycle.silence import KEPT, fell_silent
from settings import Settings
from tests.environment import configured
from tests.integration.rows import CLIENT, WORKER

pytestmark = pytest.mark.usefixtures("store")

DAYS = 10 * 24


@pytest.fixture(autouse=True)
def _known(store: Settings) -> None:
    providers.report("post", {"channel": "email"})


def happened(sent: int, share: float, hours: range, provider: str = "post") -> None:
    """Count this many notifications in each of these hours before now, and reports about a share of them."""
    rows("DELETE FROM history WHERE value = %s AND hour >= now() - %s * interval '1 hour'", provider, hours.stop)
    rows(
        """
        INSERT INTO history (client_id, dimension, hour, value, outcome, class, number)
        SELECT 0, 'provider', date_trunc('hour', now(), 'UTC') - ago * interval '1 hour', %s, outcome, 0, number
        FROM generate_series(%s, %s) AS ago, (VALUES ('sent', %s), ('reported', %s)) AS o (outcome, number)
        WHERE number > 0
        """,
        *(provider, hours.start, hours.stop - 1, sent, round(sent * share)),
    )


def before_and_now(now: float, hours: int = 5) -> None:
    happened(100, 0.95, range(DAYS))
    happened(100, now, range(hours))


def endpoint(*events: str, client: int = CLIENT) -> int:
    made = callbacks.create(callbacks.New(client, "https://example.com/", "", list(events), "whsec_AAAA"), 10)
    assert made is not None
    return int(made["id"])


def told() -> list[dict[str, Any]]:
    found = rows("SELECT message FROM notifications WHERE type = 'callback' ORDER BY id")
    return [json.loads(message) for (message,) in found]


def silent() -> bool:
    return live_stats.providers()[0].silent


def test_reports_that_stop_and_come_again_are_told_once_each() -> None:
    endpoint("provider.silent", "provider.heard")
    endpoint("sent", "failed")
    before_and_now(0.95)
    watching.look()
    assert (silent(), told()) == (False, [])
    before_and_now(0.1)
    for _ in range(3):
        watching.look()
    assert silent()
    [first] = told()
    assert first["type"] == "provider.silent"
    since = first["data"].pop("silentSince")
    assert first["timestamp"] == since
    assert first["data"] == {"provider": "post", "hours": 3, "sent": 300, "reported": 30, "usualShare": 0.95}
    happened(100, 0.95, range(5))
    for _ in range(3):
        watching.look()
    assert not silent()
    [_, second] = told()
    assert second["type"] == "provider.heard"
    assert second["data"] == {
        **{"provider": "post", "silentSince": since, "hours": 3, "sent": 300, "reported": 285, "usualShare": 0.95}
    }


def test_only_enabled_endpoints_that_asked_for_it_get_the_event() -> None:
    heard, disabled = endpoint("provider.heard"), endpoint("provider.silent")
    callbacks.change(CLIENT, disabled, {"disabled": True})
    wanted = [endpoint("provider.silent"), endpoint("provider.silent", "sent", client=2)]
    before_and_now(0)
    watching.look()
    found = rows("SELECT callback_id, client_id, subject FROM notifications ORDER BY id")
    assert found == [(wanted[0], CLIENT, "provider.silent"), (wanted[1], 2, "provider.silent")]
    assert heard not in [id for id, *_ in found]


def test_a_callback_is_delivered_like_any_other() -> None:
    endpoint("provider.silent")
    before_and_now(0)
    watching.look()
    [(id,)] = rows("SELECT id FROM notifications")
    [held] = lifecycle.claim([id], WORKER)
    assert (held.type, held.subject) == ("callback", "provider.silent")
    [delivery] = callbacks.deliveries(held.callback_id or 0, None, None, 10)
    assert (delivery["event"], delivery["notification_id"]) == ("provider.silent", None)


def test_only_one_of_many_workers_reports_a_silence() -> None:
    endpoint("provider.silent")
    before_and_now(0)
    together = threading.Barrier(8)
    wrong: list[Exception] = []

    def worker() -> None:
        try:
            with connection():
                together.wait()
                watching.look()
        except Exception as error:  # noqa: BLE001 - checked below
            wrong.append(error)
        finally:
            database.database.close()

    workers = [threading.Thread(target=worker) for _ in range(8)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert wrong == []
    assert len(told()) == 1


def test_a_change_that_is_not_committed_is_made_and_told_by_the_next_worker() -> None:
    endpoint("provider.silent")
    before_and_now(0)
    with database.database.atomic() as transaction:
        watching.look()
        transaction.rollback()
    assert (silent(), told()) == (False, [])
    watching.look()
    assert (silent(), len(told())) == (True, 1)


def test_the_newest_hours_are_not_judged_yet() -> None:
    happened(100, 0.95, range(DAYS))
    happened(10_000, 0, range(2))
    watching.look()
    assert not silent()


def test_nothing_is_judged_while_reports_wait_to_be_read() -> None:
    before_and_now(0)
    id = incoming_reports.store(Incoming("post", b"{}", None, []))
    rows("UPDATE reports SET due_at = now() - %s * interval '1 second'", silence.BEHIND + 1)
    watching.look()
    assert not silent()
    incoming_reports.end(id, "ignored", [])
    watching.look()
    assert silent()


def test_a_provider_that_no_worker_knows_or_that_never_reported_is_left_alone() -> None:
    happened(100, 0.95, range(DAYS), "gone")
    happened(100, 0, range(5), "gone")
    happened(100, 0, range(DAYS))
    watching.look()
    assert [(one.provider, one.judged) for one in silence.standings()] == [("post", None)]
    assert not silent()


def test_a_silence_ends_by_itself_when_no_report_is_usual_any_more() -> None:
    endpoint("provider.heard")
    happened(100, 0, range(15 * 24))
    assert fell_silent("post", silence.Judged(True, 3, 300, 0, 0.95))
    watching.look()
    assert silent()
    rows("UPDATE providers SET silent_since = now() - %s * interval '1 second'", KEPT + 1)
    watching.look()
    watching.look()
    assert (silent(), told()) == (False, [])


@pytest.mark.parametrize("noticed", [False, True])
def test_the_doctor_names_a_provider_that_fell_silent(noticed: bool) -> None:
    before_and_now(0.1)
    if noticed:
        watching.look()
    with configured(provider_post="postmark://:t@", mail_from="a@example.com") as chosen:
        [finding] = probe.findings(chosen)
    assert finding.what.startswith(
        "post took 300 notifications in 3 hours, and reports came about 30 of them; 95% would be usual"
    )
    assert ("noticed" in finding.what) is noticed


def test_the_doctor_names_no_provider_of_others() -> None:
    before_and_now(0.1)
    with configured(smtp_url="smtp://127.0.0.1:9", mail_from="a@example.com") as chosen:
        assert list(probe.findings(chosen)) == []
