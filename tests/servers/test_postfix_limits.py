"""A real Postfix that limits its clients: all mails arrive once, and none is given up."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import embedded
from tests.eventually import eventually
from tests.load import Load
from tests.servers.stock_postfix import StockPostfix
from tests.system import System

pytestmark = pytest.mark.long

MANY = 100
SPAN = 5  # seconds in which Postfix counts; its default is 60
# By default Postfix limits no client of its own network, which loopback is.
COUNTED = f"smtpd_client_event_limit_exceptions =\nanvil_rate_time_unit = {SPAN}s"
PROCESSES, THREADS = 2, 8

Start = Callable[[str], tuple[StockPostfix, System]]


@pytest.fixture
def start(tmp_path: Path, stock_database_url: str, stock_redis_url: str) -> Iterator[Start]:
    """Starts a Postfix with these settings more, the API, and two worker processes."""
    if os.geteuid() != 0:
        pytest.skip("only root can run Postfix")
    with ExitStack() as lasting:

        def begin(settings: str) -> tuple[StockPostfix, System]:
            postfix = StockPostfix(lasting.enter_context(embedded.short_directory()))
            lasting.callback(postfix.kill)
            postfix.add(f"{COUNTED}\n{settings}")
            postfix.start()
            urls = {"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": postfix.url}
            system = System(tmp_path, **urls)
            lasting.callback(system.stop)
            system.start_api()
            system.start_workers(PROCESSES, threads=THREADS)
            return postfix, system

        yield begin


@pytest.mark.parametrize(
    ("setting", "ideal"),
    [
        ("smtpd_client_connection_count_limit = 3", 0.0),
        ("smtpd_client_message_rate_limit = 50", (MANY / 50 - 1) * SPAN),
        ("smtpd_client_recipient_rate_limit = 50", (MANY / 50 - 1) * SPAN),
        ("smtpd_client_connection_rate_limit = 4", 0.0),
        ("smtpd_recipient_limit = 1", 0.0),
        ("smtpd_client_connection_count_limit = 3\nsmtpd_client_message_rate_limit = 50", (MANY / 50 - 1) * SPAN),
    ],
    ids=["connections", "messages", "recipients", "new connections", "recipients of one mail", "both"],
)
def test_all_mails_to_a_limited_postfix_arrive_once_and_none_is_exhausted(
    start: Start, setting: str, ideal: float
) -> None:
    postfix, system = start(setting)
    began = time.monotonic()

    recipients = [f"limited{number}@example.com" for number in range(MANY)]
    load = Load(system.port, iter(recipients)).start().finish()
    assert (load.refused, len(load.accepted)) == ([], MANY)
    ids = list(load.accepted)
    spent = "SELECT id, retry_count, last_error FROM notifications WHERE id = ANY(%s) AND retry_count > 0"
    sql = system.sql
    eventually(lambda: sql.rows(spent, ids) or not sql.unfinished(ids), within=180, saying=system.logs)

    seconds = time.monotonic() - began
    print(f"{setting!r}: {MANY} mails in {seconds:.1f} s, of which the limit takes {ideal:.1f} s")  # noqa: T201
    assert sql.rows(spent, ids) == []
    assert sql.statuses(ids) == {"sent": MANY}
    eventually(lambda: postfix.copies() == Counter(recipients), within=30, saying=lambda: postfix.log)
