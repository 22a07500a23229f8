"""The settings of docs/setup/postfix.md, in a real Postfix and a running system."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import bouncing, embedded
from tests.docs import setup_pages
from tests.eventually import eventually
from tests.servers.report_places import UNKNOWN, Places
from tests.servers.stock_postfix import StockPostfix
from tests.smtp import SmtpServer
from tests.system import System

SETTINGS = setup_pages.settings("postfix")
MAIN = setup_pages.file("postfix", "main.cf")
PORT = "2525"  # of `notify bounces`, on the page
# All other mail goes to a server that refuses. The address of a stranger is not that of this machine's own programs.
ELSEWHERE, STRANGER = "relayhost = [127.0.0.1]:{elsewhere}\nmynetworks = 127.0.0.1/32\n", "127.0.0.9"


@pytest.fixture
def places(tmp_path: Path, stock_database_url: str, stock_redis_url: str) -> Iterator[Places]:
    if os.geteuid() != 0:
        pytest.skip("only root can run Postfix")
    with ExitStack() as lasting:
        elsewhere = lasting.enter_context(SmtpServer())
        postfix = StockPostfix(lasting.enter_context(embedded.short_directory()))
        lasting.callback(postfix.kill)
        urls = {"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": postfix.url}
        own = {name.lower(): value for name, value in SETTINGS.items() if name != "SMTP_URL"}
        system = System(tmp_path, **urls, **own)
        lasting.callback(system.stop)
        bounces = lasting.enter_context(bouncing.serving(tmp_path, system.environ, "--lmtp"))
        assert PORT in MAIN
        postfix.add(MAIN.replace(PORT, str(bounces.port)) + ELSEWHERE.format(elsewhere=elsewhere.port))
        postfix.start()
        yield Places(elsewhere, system, postfix)


def test_a_bounce_comes_back_through_postfix_as_the_page_says(places: Places) -> None:
    places.system.start_api()
    places.system.start_workers()
    places.elsewhere.on("rcpt", UNKNOWN, times=None)
    found = places.outcome(places.send("gone@elsewhere.example"))
    assert (found["deliveryStatus"], found["deliveryEvidence"]["class"]) == ("bounced", "hard")
    assert places.suppressed() == ["gone@elsewhere.example"]


def test_a_stranger_is_told_at_once_that_a_forged_return_path_does_not_exist(places: Places) -> None:
    forged = f"b+{'a' * 32}@{SETTINGS['RETURN_PATH_DOMAIN']}"

    def code() -> int:
        with smtplib.SMTP("127.0.0.1", places.mail_server.port, source_address=(STRANGER, 0)) as stranger:
            stranger.ehlo()
            stranger.mail("")
            return stranger.rcpt(forged)[0]

    # Postfix answers 450 until it has asked `notify bounces`.
    eventually(lambda: code() == 550, within=30, saying=lambda: places.mail_server.log)
