"""`notify top` without a terminal, and the data that it reads."""

from __future__ import annotations

import pytest
import redis

from actors.queue import broker
from cli.operator.redis_queues import RedisQueues
from cli.top.sample import Sampler
from db import clients, drain, failing
from db.database import bind, database, rows
from settings import Settings
from tests.environment import configured
from tests.integration.operating import Operator
from tests.integration.rows import accepted, claimed, failed, passed


def test_top_is_printed_once_with_rates(operator: Operator, redis_url: str) -> None:
    shown = operator("top", "--interval", "0.2", redis_url=redis_url)
    assert shown.exit_code == 0, shown.output
    assert "accepted 0.0/s   sent 0.0/s   failed 0.0/s   retried 0.0/s   being sent 0" in shown.stdout


def test_top_as_json_prints_one_document_per_line(operator: Operator, redis_url: str) -> None:
    accepted(3)
    [told] = operator.json("top", "--once", "--interval", "0.2", redis_url=redis_url)
    assert told["at"].endswith("Z")
    assert told["perSecond"] == {"accepted": 0.0, "sent": 0.0, "failed": 0.0, "retried": 0.0}
    assert {priority["queue"]: priority["waiting"] for priority in told["priorities"]}["normal"] == 3


def test_the_newest_failures_of_all_clients_come_first(store: Settings) -> None:
    shop = clients.create("shop", {})
    assert shop is not None
    old, new = failed(), failed(reason="rejected")
    rows("UPDATE notifications SET client_id = %s WHERE id = %s", shop.id, old)
    found = failing.newest(10)
    rows("DELETE FROM clients WHERE id = %s", shop.id)
    assert [(one.id, one.client, one.reason) for one in found] == [
        (new, "default", "rejected"),
        (old, "shop", "exhausted"),
    ]
    assert len(failing.newest(1)) == 1


def test_notifications_in_flight_are_counted_with_the_age_of_the_oldest(store: Settings) -> None:
    assert drain.in_flight() == (0, 0.0)
    passed(50, claimed().id)
    claimed()
    assert drain.in_flight().number == 2
    assert drain.in_flight().oldest >= 50


def test_a_sampler_computes_rates_over_a_window_and_survives_an_outage(
    store: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with configured(database_url=store.database.url, redis_url=redis_url) as chosen:
        sampler = Sampler(RedisQueues(chosen), 30)
        assert sampler.look().rates == {}
        accepted(5)
        assert sampler.look().rates["accepted"] > 0

        def away(_broker: broker.NotificationBroker) -> None:
            raise redis.ConnectionError("refused")

        monkeypatch.setattr(broker.NotificationBroker, "depths", away)
        assert sampler.look().trouble == "Redis at REDIS_URL does not answer: refused"
    with configured(database_url="postgresql://127.0.0.1:9/x") as chosen:
        database.close()
        bind(chosen.database)
        lost = sampler.look()
        bind(store.database)
        database.connect()
    assert lost.trouble.startswith("The database does not answer: ")
    assert lost.sample is not None
