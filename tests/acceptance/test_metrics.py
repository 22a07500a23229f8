"""/metrics of the whole system: the counts of four processes add up to the true numbers."""

from __future__ import annotations

import gzip
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.client import NOTIFICATIONS, Client
from tests.eventually import eventually
from tests.monitoring import NO_PROMTOOL, PROMTOOL, alerts, dashboard, documented, promtool, used
from tests.processes import Group
from tests.scrapes import Scrape, scraped
from tests.smtp import Reply
from tests.system import free_port

pytestmark = pytest.mark.long

TOKEN = "t" * 32


# Only where a provider has webhooks, and where something was sent a minute ago.
ELSEWHERE = {
    "notify_report_rejections_total",
    *(f"notify_{what}_notifications" for what in ("provider", "domain", "client")),
}


@pytest.fixture(scope="module")
def world(new_world: NewWorld, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two processes of gunicorn and two of dramatiq, which count together."""
    shared, bind = tmp_path_factory.mktemp("metrics") / "shared", f"127.0.0.1:{free_port()}"
    world = new_world(metrics_dir=shared, metrics_bind=bind, metrics_token=TOKEN, metrics_cache=0)
    world.system.start_api(processes=2)
    world.system.start_workers(processes=2)
    return world


def scrape(world: World, *, openmetrics: bool = False) -> Scrape:
    return scraped(world.system.client, openmetrics=openmetrics)


def workers_own(world: World) -> Client:
    """Return a client of the metrics that the workers serve themselves."""
    client = Client(int(world.system.environ["METRICS_BIND"].rpartition(":")[2]))
    client.key = TOKEN
    return client


def test_the_metrics_of_four_processes_add_up_to_the_true_counts(world: World) -> None:
    before = scrape(world)
    refused = world.recipient()
    world.mail_server.on("rcpt", Reply(550, "5.1.1 nobody"), to=refused)
    deferred = world.recipient()
    world.mail_server.on("rcpt", Reply(450, "4.2.1 busy"), to=deferred)
    accepted = world.post(200) | {world.post_one(to): to for to in (refused, deferred)}
    accepted |= {world.post_one(world.recipient(), priority="high"): "" for _ in range(3)}
    world.wait_for_the_end(accepted)

    def grown(name: str, **labels: str) -> float:
        return scrape(world).sum(name, **labels) - before.sum(name, **labels)

    eventually(lambda: grown("notify_due_to_sent_seconds_count") == 204)
    assert grown("notify_accepted_total", channel="email", result="pending") == 205
    assert grown("notify_accepted_total", priority="high") == 3
    assert grown("notify_http_request_duration_seconds_count", route=NOTIFICATIONS, method="POST", status="2xx") == 205
    assert grown("notify_attempts_total", outcome="sent", phase="content") == 204
    assert grown("notify_due_to_sent_seconds_count", priority="high", channel="email") == 3
    assert grown("notify_attempts_total", outcome="deferred", phase="rcpt") == 1
    assert grown("notify_retries_total") == 1
    assert grown("notify_failed_total", reason="rejected", priority="normal") == 1
    assert grown("notify_batch_size_sum", stage="accept") == 205
    assert grown("notify_batch_size_sum", stage="settle") >= 206  # What is only to be begun comes along.
    assert 1 <= grown("notify_smtp_connections_total", result="opened") < 100


def test_the_metrics_of_workers_processes_and_ids_come_from_the_database(world: World) -> None:
    seen = scrape(world)

    assert seen.sum("notify_database_up") == 1
    assert seen.sum("notify_workers", state="alive") == 2
    assert seen.sum("notify_worker_threads") == 8
    assert seen.sum("notify_processes", program="api") == seen.sum("notify_processes", program="worker") == 2
    [(drawn,)] = world.system.sql.rows("SELECT last_value FROM notifications_id_seq")
    assert seen.sum("notify_ids_drawn_total") == drawn


def test_both_formats_of_metrics_can_be_parsed_and_have_the_same_families(world: World) -> None:
    world.post(3)
    text, strict = scrape(world), scrape(world, openmetrics=True)

    assert {family.name for family in text.families} == {family.name for family in strict.families}
    for family in strict.families:
        assert family.documentation.endswith("."), family.name
        assert family.name.startswith("notify_")


@pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMTOOL)
def test_promtool_finds_no_fault_with_the_metrics(world: World) -> None:
    assert promtool("check", "metrics", given=world.system.client.get("/metrics").raw) == ""


def test_metrics_are_compressed_if_the_client_accepts_gzip(world: World) -> None:
    answer = world.system.client.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["content-encoding"] == "gzip"
    assert Scrape(gzip.decompress(answer.raw).decode()).values
    assert len(answer.raw) < 30_000


def test_many_simultaneous_scrapes_work_during_sending(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        posted = pool.submit(world.post, 50)
        scrapes = list(pool.map(lambda _: scrape(world), range(16)))

    assert all(seen.values for seen in scrapes)
    world.wait_for_the_end(posted.result())


def test_the_workers_serve_the_metrics_of_the_api_without_those_of_the_database(world: World) -> None:
    eventually(lambda: scraped(workers_own(world)), saying=world.system.logs)
    own, whole = scraped(workers_own(world)).labels(), scrape(world).labels()

    assert own.keys() < whole.keys()
    assert {"notify_database_up", "notify_oldest_due_seconds"} <= whole.keys() - own.keys()


@pytest.mark.parametrize("key", ["", "wrong", TOKEN[:-1]])
def test_the_metrics_of_the_workers_are_refused_without_the_token(world: World, key: str) -> None:
    client = workers_own(world)
    client.key = key
    answer = eventually(lambda: client.get("/metrics"))

    assert answer.status == 401
    assert b"notify_" not in answer.raw
    assert client.get("/").status == 404


def has_left(group: Group, pid: int) -> bool:
    return pid not in group.members


def died(group: Group) -> bool:
    return not group.running and not group.members


def test_no_counter_decreases_when_a_process_is_killed(world: World) -> None:
    world.wait_for_the_end(world.post(20))
    api, workers = world.system.api, world.system.workers[0]
    assert api is not None
    # Told by upkeep in its next round: what was sent since the last one goes uncounted with a killed worker.
    [(sent,)] = world.system.sql.rows("SELECT count(*) FROM attempts WHERE outcome = 'sent'")
    eventually(lambda: scrape(world).sum("notify_attempts_total", outcome="sent") == sent)
    seen = [scrape(world)]

    for group in (api, workers):
        victim = next(pid for pid in group.members if pid != group.pid)
        os.kill(victim, signal.SIGKILL)
        eventually(partial(has_left, group, victim))
        seen.append(scrape(world))
    eventually(lambda: died(workers))
    world.system.only_workers(0)
    world.system.start_workers(processes=2)
    seen.append(scrape(world))
    world.wait_for_the_end(world.post(20))
    eventually(lambda: scrape(world).sum("notify_processes", program="api") == 2)
    seen.append(scrape(world))

    for before, after in pairwise(seen):
        assert list(after.fallen(before)) == []
    eventually(lambda: scrape(world).sum("notify_attempts_total", outcome="sent") == sent + 20)
    assert scrape(world).sum("notify_processes", program="worker") == 2
    eventually(lambda: scraped(workers_own(world)), within=20, saying=world.system.logs)


def test_every_metric_of_alerts_and_dashboard_exists(world: World) -> None:
    provider = world.system.environ["SMTP_URL"].removeprefix("smtp://")
    world.system.sql.rows("INSERT INTO providers (name) VALUES (%s) ON CONFLICT DO NOTHING RETURNING 1", provider)
    there = scrape(world).labels()

    for source in (alerts(), dashboard()):
        for expression in source:
            for name, labels in used(expression):
                if name in ELSEWHERE:
                    continue
                assert name in there, f"{name} of {expression}"
                assert labels <= there[name], f"{labels} of {expression}: {name} has {there[name]}"


def test_the_documents_list_exactly_the_served_metrics(world: World) -> None:
    there = {}
    for family in scrape(world).families:
        labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name not in ELSEWHERE:
            there[name] = family.type, labels, family.documentation

    assert {name: about for name, about in documented().items() if name not in ELSEWHERE} == there
