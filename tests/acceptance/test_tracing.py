"""Real processes export one trace for each notification, and all of it by the time they have stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from cli.servers.valkey import Valkey
from tests.acceptance.world import World
from tests.collector import Collector
from tests.eventually import eventually
from tests.hooks import Hooks
from tests.smtp import Reply, SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

COUNT = 40
TRACE = "0af7651916cd43dd8448eb211c80319c"
# Only at the end, so that what the processes export there is needed.
LATE: dict[str, Any] = {"otel_bsp_schedule_delay": 600_000, "otel_bsp_max_export_batch_size": 2_048}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def callback(
    collector: Collector,
    module_database_url: str,
    redis_server: Valkey,
    mail_server: SmtpServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The headers of the callback about a notification that came with TRACE, after all processes have ended."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    servers = {"database_url": module_database_url, "redis_url": redis_server.url, "smtp_url": mail_server.url}
    system = System(
        tmp_path_factory.mktemp("tracing"),
        **servers,
        tracing="on",
        otel_exporter_otlp_endpoint=collector.url,
        otel_resource_attributes="deployment.environment.name=test",
        callback_allowed_networks="127.0.0.0/8",
        **LATE,
    )
    try:
        system.start_api(processes=2)
        system.start_workers(processes=2)
        world = World(system, mail_server)
        mail_server.on("rcpt", Reply(451, "later"), to="traced@example.com")
        with Hooks() as hooks:
            made = system.client.post("/api/callbacks", {"url": hooks.url})
            document = {"type": "email", "recipient": "traced@example.com", "message": "Hello"}
            traced = system.client.post("/api/notifications", document, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
            assert traced.status == 201
            eventually(lambda: hooks.posts, within=20, saying=system.logs)
            system.client.request("DELETE", f"/api/callbacks/{made.json['id']}")
            world.tally(world.post(COUNT))
            return hooks.posts[0].headers
    finally:
        system.stop()


def test_one_trace_contains_everything_from_the_post_to_the_callback(
    callback: dict[str, str], collector: Collector
) -> None:
    spans = collector.of(TRACE)
    by_id = {span.id: span for span in spans}

    assert callback["traceparent"].split("-")[1] == TRACE
    assert by_id[callback["traceparent"].split("-")[2]].name == "POST"
    assert [span.name for span in spans if span.parent not in by_id] == ["POST /api/notifications"]
    names = Counter(span.name for span in spans)
    assert names["process notifications"] == names["SMTP RCPT"] == 2
    assert set(names) >= {
        *("POST /api/notifications", "create notifications", "INSERT notifications", "send notifications"),
        *("UPDATE notifications", "process notifications", "INSERT attempts", "process notifications.callback"),
        *("SMTP connect", "SMTP EHLO", "SMTP MAIL", "SMTP RCPT", "SMTP DATA", "SMTP content"),
    }
    assert {span.service for span in spans} == {"notification-system-api", "notification-system-worker"}


@pytest.mark.usefixtures("callback")
def test_no_span_of_an_attempt_is_lost_when_the_processes_end(collector: Collector) -> None:
    accepted = [span for span in collector.spans if span.name == "create notifications"]
    attempts = {span.parent for span in collector.spans if span.name == "process notifications"}

    assert len({span.trace for span in accepted}) == COUNT + 1
    assert {span.id for span in accepted} == attempts


@pytest.mark.usefixtures("callback")
def test_the_parent_of_each_span_is_exported_too(collector: Collector) -> None:
    known = {span.id for span in collector.spans} | {"b7ad6b7169203331", ""}

    assert [span for span in collector.spans if span.parent not in known] == []
