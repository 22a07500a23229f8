"""Limits of the SMTP server's connections, and its orderly end."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli.servers.valkey import Valkey
from cli.submission.connections import MOST
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.submission import Submission, begin, mail, serving, started


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


def test_the_server_turns_away_connections_above_its_limit_and_takes_them_later(api: Api) -> None:
    with serving(api) as server, ExitStack() as open_ones:
        for _ in range(MOST):
            open_ones.enter_context(server.client())
        assert greeting(server) == 421
        open_ones.close()

        assert eventually(lambda: greeting(server) == 220)


def greeting(server: Submission) -> int:
    """The code that a new connection gets."""
    try:
        with server.client():
            return 220
    except smtplib.SMTPConnectError as error:
        return error.smtp_code


class SlowApi(BaseHTTPRequestHandler):
    """An API that answers a POST when the test lets it."""

    asked = threading.Event()
    answering = threading.Event()

    def do_GET(self) -> None:
        self._answer(200, b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.set()
        self.answering.wait(60)
        self._answer(201, b'{"id": 7, "status": "pending"}')

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def slow_api() -> Iterator[str]:
    """The address of a SlowApi: no real one can be held in the middle of an answer."""
    SlowApi.asked.clear()
    SlowApi.answering.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowApi)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    SlowApi.answering.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_sigterm_answers_mails_being_stored_and_refuses_new_ones(api: Api, slow_api: str) -> None:
    server = started(begin(api, listen="127.0.0.1:0", url=slow_api))
    answers: list[tuple[int, bytes]] = []
    with closing(server.client()) as idle, closing(server.client()) as sender:
        sender.mail("a@example.com")
        sender.rcpt("ann@example.com")
        thread = threading.Thread(target=lambda: answers.append(sender.data(mail().as_bytes(policy=SMTP))))
        thread.start()
        assert SlowApi.asked.wait(60)

        server.group.ask()

        assert eventually(lambda: greeting(server) == 421)
        assert idle.mail("a@example.com")[0] == 421
        SlowApi.answering.set()
        thread.join()
    assert [code for code, _ in answers] == [250]
    assert server.group.stop() == 0


def test_a_mail_that_the_api_does_not_confirm_in_time_gets_no_250(api: Api, slow_api: str) -> None:
    server = started(begin(api, listen="127.0.0.1:0", url=slow_api, SHUTDOWN_GRACE="1"))
    with closing(server.client()) as sender:
        sender.mail("a@example.com")
        sender.rcpt("ann@example.com")
        sender.putcmd("data")
        assert sender.getreply()[0] == 354
        sender.send(mail().as_bytes(policy=SMTP) + b".\r\n")
        assert SlowApi.asked.wait(60)

        server.group.ask()

        assert sender.getreply()[0] == 421
    assert server.group.stop() == 0
