"""The commands that operators use without a key: queues, workers, pauses, drain, and the retry of many."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import psycopg2
import pytest
import redis
from click.shell_completion import ShellComplete

from actors.channels.registry import pausable
from actors.queue.broker import NotificationBroker, get_broker
from cli.main import notify
from cli.operator.redriving import Place
from db import clients, drain, lifecycle, pauses
from db.audit import By
from db.database import bind, database, rows
from settings import Settings
from tests.environment import configured
from tests.integration.operating import Operator
from tests.integration.rows import GRACE, WORKER, accepted, alive, attempt, claimed, draft, passed, status

BY = By("cli", name="test")
broker = get_broker()


@pytest.fixture
def shop(store: Settings) -> Iterator[int]:
    """Another client."""
    made = clients.create("shop", {})
    assert made is not None
    yield made.id
    rows("DELETE FROM clients WHERE id = %s", made.id)


def failed(client: int = 1, reason: str = "exhausted", outcome: str = "deferred", ago: float = 0) -> int:
    [stored] = lifecycle.accept([draft()._replace(client_id=client)], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    lifecycle.settle([lifecycle.failed(held, attempt(outcome), reason)], GRACE, time.monotonic())
    rows("UPDATE notifications SET created_at = now() - %s * interval '1 second' WHERE id = %s", ago, stored.id)
    return stored.id


# queues and workers


def test_queues_show_each_priority_in_redis_and_postgresql(operator: Operator, redis_url: str) -> None:
    accepted(2)
    queue = f"{broker.namespace}:notifications"
    broker.client.rpush(queue, "waiting")
    broker.client.hset(f"{queue}.msgs", mapping={"waiting": "", "fetched": ""})
    [_, normal, *_] = operator.json("queues", redis_url=redis_url)
    assert normal.pop("oldestDue") < 60
    assert normal == {"queue": "normal", "waiting": 2, "more": False, "queued": 1, "inHand": 1}
    shown = operator("queues", redis_url=redis_url).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["QUEUE", "high", "normal", "bulk", "callback"]


def test_queues_without_redis_shows_the_counts_of_postgresql(
    operator: Operator, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_broker: NotificationBroker) -> None:
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(NotificationBroker, "depths", away)
    accepted()
    shown = operator("queues", redis_url=redis_url)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[2].split() == ["normal", "1", "0", "s", "unknown", "unknown"]
    assert "Redis at REDIS_URL does not answer: refused" in shown.stderr
    assert operator.json("queues", redis_url=redis_url)[1]["queued"] is None


def test_queues_shows_what_holds_notifications_back(operator: Operator, redis_url: str) -> None:
    pauses.pause("channel", "email")
    pauses.pause("client", "1")
    shown = operator("queues", redis_url=redis_url).stdout
    assert "Paused channels: email; to send again: notify resume --all" in shown
    assert "Paused or disabled clients: 1" in shown


def test_workers_are_listed_with_their_counts(operator: Operator) -> None:
    lively, silent = alive(uuid4()), alive(uuid4(), seen_ago=90)
    rows("""UPDATE workers SET tallies = '{"sent": 1234}' WHERE id = %s""", str(lively))
    by_id = {line.split()[0]: line for line in operator("workers").stdout.splitlines()[1:]}
    assert " alive " in by_id[str(lively)[:8]]
    assert "1,234" in by_id[str(lively)[:8]]
    assert "silent 2 min" in by_id[str(silent)[:8]]
    assert {line["alive"] for line in operator.json("workers")} == {True, False}


def test_without_workers_the_command_says_how_to_start_one(operator: Operator) -> None:
    assert "No worker is alive; to start some" in operator("workers").stdout


# pauses


def test_all_channels_are_paused_and_resumed(operator: Operator) -> None:
    assert operator("pause", "--all").exit_code == 0
    paused = [(pause.kind, pause.name) for pause in pauses.all_in_force()]
    assert paused == [("channel", name) for name in sorted(pausable())]
    assert not any(line["paused"] for line in operator.json("resume", "--all"))
    assert pauses.all_in_force() == []


def test_a_client_is_paused_by_its_name_and_resume_all_leaves_it(operator: Operator, shop: int) -> None:
    [told] = operator.json("pause", "--client", "shop")
    assert (told["kind"], told["name"], told["paused"], told["since"][-1]) == ("client", "shop", True, "Z")
    operator("resume", "--all")
    assert [pause.name for pause in pauses.all_in_force()] == [str(shop)]
    assert operator("resume", "--client", "shop").stdout == "client shop: not paused\n"
    assert pauses.all_in_force() == []


def test_one_channel_is_paused_directly(operator: Operator) -> None:
    assert operator("pause", "--channel", "callback", "--direct").stdout.startswith("channel callback: paused since 2")
    assert [pause.name for pause in pauses.all_in_force()] == ["callback"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--direct"], 2),
        (["--all", "--client", "default"], 2),
        (["--channel", "email", "--all"], 2),
        (["--channel", "fax", "--direct"], 2),
        (["--all", "--url", "http://127.0.0.1:1"], 2),
        (["--client", "nobody"], 1),
    ],
    ids=str,
)
def test_an_invalid_pause_command_is_refused(operator: Operator, words: list[str], code: int) -> None:
    assert operator("pause", *words).exit_code == code
    assert pauses.all_in_force() == []


# drain


def test_a_system_at_rest_is_drained_at_once_and_stays_paused(operator: Operator) -> None:
    accepted()
    drained = operator("drain")
    assert drained.exit_code == 0, drained.output
    assert drained.stdout == "Nothing is being sent. All channels are paused; to send again: notify resume --all\n"
    assert lifecycle.claim(accepted(), WORKER) == []


def test_drain_ends_with_75_while_something_is_in_flight(operator: Operator) -> None:
    passed(120, claimed().id)
    late = operator("drain", "--timeout", "0.1")
    assert late.exit_code == 75
    assert "1 notifications are still being sent, the oldest for 2 min" in late.stderr
    assert len(pauses.all_in_force()) == len(pausable())
    [told] = operator.json("drain", "--timeout", "0")
    assert (told["drained"], told["inFlight"]) == (False, 1)


def test_drain_waits_for_what_is_in_flight(operator: Operator, bound: Settings) -> None:
    held = claimed()
    with psycopg2.connect(bound.database.url) as other:
        ending = threading.Timer(0.3, _settle, (other, held.id))
        ending.start()
        [told] = operator.json("drain")
        ending.join()
    other.close()
    assert (told["drained"], told["inFlight"]) == (True, 0)
    assert told["waited"] >= 0.3


def _settle(other: psycopg2.extensions.connection, id: int) -> None:
    with other.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications SET status = 'sent', claimed_at = NULL, claimed_by = NULL, claimed_list = NULL,"
            " finished_at = now() WHERE id = %s",
            (id,),
        )
    other.commit()


def test_draining_waits_for_transactions_that_began_before_the_pauses(store: Settings) -> None:
    other = psycopg2.connect(f"{store.database.url}&application_name=notification-system 0001")
    other.set_session(isolation_level="REPEATABLE READ")
    with other.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications")
        before = drain.begin(BY, pausable())
        assert drain.unaware(before) == 1
        other.rollback()
        assert drain.unaware(before) == 0
        cursor.execute("SELECT count(*) FROM notifications")
        assert drain.unaware(before) == 0
        assert drain.unaware(drain.begin(BY, pausable())) == 1
    other.close()


def test_a_transaction_of_another_program_delays_no_drain(store: Settings) -> None:
    other = psycopg2.connect(f"{store.database.url}&application_name=pg_dump")
    other.set_session(isolation_level="REPEATABLE READ")
    other.cursor().execute("SELECT count(*) FROM notifications")
    assert drain.unaware(drain.begin(BY, pausable())) == 0
    other.close()


def test_ctrl_c_ends_the_wait_and_leaves_the_pauses(operator: Operator) -> None:
    claimed()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    stopped = operator("drain")
    assert stopped.exit_code == 130
    assert "Stopped waiting. All channels are paused" in stopped.stderr
    assert len(pauses.all_in_force()) == len(pausable())


# the retry of many


def test_failures_of_all_clients_are_retried(operator: Operator, shop: int) -> None:
    ids = [failed(), failed(shop), failed()]
    assert operator("retry", "--failed", "--all-clients", "--dry-run").stdout == "Would be retried: 3\n"
    assert [status(id) for id in ids] == ["failed"] * 3
    assert operator("retry", "--failed", "--all-clients").stdout == "Retried: 3\n"
    assert [status(id) for id in ids] == ["pending"] * 3
    assert operator.json("retry", "--failed", "--all-clients") == [{"retried": 0}]


def test_failures_of_one_client_are_retried(operator: Operator, shop: int) -> None:
    mine, theirs = failed(shop), failed()
    assert operator.json("retry", "--failed", "--client", "shop") == [{"retried": 1}]
    assert (status(mine), status(theirs)) == ("pending", "failed")


def test_the_filter_provider_down_finds_failures_whose_last_attempt_found_the_provider_down(operator: Operator) -> None:
    down, deferred, refused = failed(outcome="provider-down"), failed(), failed(reason="rejected", outcome="refused")
    [told] = operator.json("retry", "--failed", "--all-clients", "--reason", "provider")
    assert told == {"retried": 1}
    assert [status(id) for id in (down, deferred, refused)] == ["pending", "failed", "failed"]


@pytest.mark.parametrize(
    ("reason", "stored"), [("unknown", "outcome-unknown"), ("rejected", "rejected"), ("suppressed", "suppressed")]
)
def test_retry_filters_failures_by_reason(operator: Operator, reason: str, stored: str) -> None:
    wanted, other = failed(reason=stored), failed(reason="exhausted")
    assert operator("retry", "--failed", "--all-clients", "--reason", reason).exit_code == 0
    assert (status(wanted), status(other)) == ("pending", "failed")


def test_retry_filters_failures_by_since(operator: Operator) -> None:
    old, new = failed(ago=7_200), failed(ago=60)
    assert operator("retry", "--failed", "--all-clients", "--since", "1h").exit_code == 0
    assert (status(old), status(new)) == ("failed", "pending")


def test_a_bulk_retry_goes_in_steps_and_its_dry_run_counts_up_to_a_limit(
    operator: Operator, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.failures.COUNTED", 4)
    for client in (1, 1, 1, shop, shop):
        failed(client)
    assert operator.json("retry", "--failed", "--all-clients", "--dry-run") == [{"matched": 4, "more": True}]
    assert operator.json("retry", "--failed", "--all-clients", retry_limit=2) == [{"retried": 5}]


def test_a_stopped_bulk_retry_resumes_where_it_was(
    operator: Operator, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [failed(ago=50), failed(ago=40), failed(shop, ago=30), failed(shop, ago=20)]
    stops = iter([1, 0, 0, 0, 0, 0, 0, 0])
    monkeypatch.setattr("cli.client.many.Signals", lambda: _Stopping(stops))
    stopped = operator("retry", "--failed", "--all-clients", "--json", retry_limit=1)
    assert stopped.exit_code == 130
    told = json.loads(stopped.stdout)
    assert told["retried"] == 1
    assert f"--cursor {told['cursor']}" in stopped.stderr
    again = operator.json("retry", "--failed", "--all-clients", "--cursor", told["cursor"])
    assert again == [{"retried": 3}]
    assert [status(id) for id in ids] == ["pending"] * 4


class _Stopping:
    """Signals as if one had come after the first step."""

    def __init__(self, stops: Iterator[int]) -> None:
        self._stops = stops

    @property
    def stops(self) -> int:
        return next(self._stops)

    def __enter__(self) -> _Stopping:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_cursor_skips_notifications_that_failed_again(operator: Operator) -> None:
    first, second = failed(ago=50), failed(ago=40)
    [place] = lifecycle.redrive_all(1, {}, None, 1)
    [held] = lifecycle.claim([first], WORKER)
    lifecycle.settle([lifecycle.failed(held, attempt("deferred"), "exhausted")], GRACE, time.monotonic())
    cursor = Place(1).cursor(place)
    assert operator.json("retry", "--failed", "--all-clients", "--cursor", cursor) == [{"retried": 1}]
    assert (status(first), status(second)) == ("failed", "pending")


def test_a_bulk_retry_interrupted_by_an_outage_prints_a_cursor_to_continue(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        failed()
    redrive_all, asked = lifecycle.redrive_all, []

    def once(*arguments: object) -> object:
        asked.append(arguments)
        if len(asked) == 2:
            rows("SELECT pg_terminate_backend(pg_backend_pid())")
        return redrive_all(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lifecycle, "redrive_all", once)
    lost = operator("retry", "--failed", "--all-clients", retry_limit=1)
    assert lost.exit_code == 3
    assert "Retried so far: 1; to continue, repeat the command with --cursor " in lost.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--failed", "--all-clients", "--client", "default"], 2),
        (["--failed", "--all-clients", "--cursor", "x"], 2),
        (["--failed", "--all-clients", "--since", "yesterday"], 2),
        (["--failed", "--all-clients", "--url", "http://127.0.0.1:1"], 2),
        (["--failed", "--client", "nobody"], 1),
        (["7", "--all-clients"], 2),
    ],
    ids=str,
)
def test_an_invalid_retry_command_is_refused(operator: Operator, words: list[str], code: int) -> None:
    id = failed()
    assert operator("retry", *words).exit_code == code
    assert status(id) == "failed"


def test_a_cursor_of_another_client_is_refused(operator: Operator, shop: int) -> None:
    failed(shop)
    [place] = lifecycle.redrive_all(shop, {}, None, 1)
    cursor = Place(shop).cursor(place)
    assert operator("retry", "--failed", "--client", "default", "--cursor", cursor).exit_code == 2
    assert operator("retry", "--failed", "--client", "shop", "--cursor", cursor).exit_code == 0


# names for the shell


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "words",
    [["pause", "--client"], ["retry", "--client"], ["clients", "show"], ["keys", "create", "--client"]],
    ids=" ".join,
)
def test_shell_completion_offers_the_names_of_clients(store: Settings, words: list[str]) -> None:
    def offered(begun: str) -> list[str]:
        found = ShellComplete(notify, {}, "notify", "_NOTIFY_COMPLETE").get_completions(words, begun)
        return [item.value for item in found]

    with configured(database_url=store.database.url):
        assert offered("sh") == ["shop"]
        assert offered("") == ["default", "shop"]
    with configured(database_url="postgresql://127.0.0.1:9/x"):
        assert offered("sh") == []
    bind(store.database)
    database.connect()
