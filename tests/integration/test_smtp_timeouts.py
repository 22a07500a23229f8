"""Timeouts of a mail: every piece that gets through has its own time, and the whole mail has a limit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from actors.channels import Deferred, ProviderDown, Uncertain
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.mailing import GO_AHEAD, TALK, channel, failure, notification
from tests.smtp import Hang, Reply, SmtpServer

pytestmark = pytest.mark.long

PIECE, PAUSE = 65_536, 0.05
LARGE = "a line of text\n" * 600_000  # 9 MB, more than any buffer of the kernel's takes


@contextmanager
def reading(*, stall_after: float = float("inf"), answer: bytes = TALK[5]) -> Iterator[str]:
    """SMTP_URL of a server that reads a mail piece by piece, with pauses; or no more after so many octets."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        thread = threading.Thread(target=_read, args=(listener, stall_after, answer, ended))
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        thread.join()


def _read(listener: socket.socket, stall_after: float, answer: bytes, ended: threading.Event) -> None:
    client, _ = listener.accept()
    with client, suppress(OSError):
        for said in TALK[:5]:
            client.sendall(said)
            if said != GO_AHEAD:
                client.recv(1_000)
        count, tail = 0, b""
        while not tail.endswith(b"\r\n.\r\n"):
            if count > stall_after:
                ended.wait(60)
                return
            piece = client.recv(PIECE)
            if not piece:
                return
            count, tail = count + len(piece), (tail + piece)[-5:]
            if not ended.wait(PAUSE):
                continue
        client.sendall(answer)
        client.recv(1_000)


def test_a_large_mail_over_a_slow_connection_is_not_aborted() -> None:
    """All of it takes some seconds here; no piece takes as long as a time-out."""
    with reading() as url:
        email = channel(url, smtp_timeout=2, smtp_data_timeout=2)
        assert email.send(notification(message=LARGE)).reply_code == 250
        email.hang_up()


def test_a_stalled_connection_ends_the_mail() -> None:
    with reading(stall_after=1_000_000) as url:
        stalled = failure(channel(url, smtp_timeout=2), message=LARGE)
    assert (type(stalled), stalled.receipt.phase, str(stalled)) == (Deferred, "content", "no answer in time")


def test_an_extremely_slow_mail_is_aborted_in_the_end() -> None:
    limits = {"stuck_after": 32, "list_budget": 1, "smtp_timeout": 0.1, "smtp_connect_timeout": 0.1}
    with reading() as url, configured(**limits, smtp_data_timeout=0.1) as current:
        assert current.delivery.send_limit(current.smtp.data_timeout) < 1
        late = failure(channel(url, **limits, smtp_data_timeout=0.1), message=LARGE)
    assert (type(late), late.receipt.phase) == (Deferred, "content")


def test_the_greeting_has_the_timeout_of_a_reply_and_not_of_a_connection(smtp_server: SmtpServer) -> None:
    smtp_server.on("connect", Reply(220, "slowly", delay=1.5))
    smtp_server.on("ehlo", Reply(250, "slowly", delay=1.5))
    email = channel(smtp_server.url, smtp_connect_timeout=1, smtp_timeout=30)
    email.send(notification())
    email.hang_up()
    assert len(smtp_server.mails) == 1


def test_the_reply_to_a_mail_has_its_own_timeout(smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Reply(250, "2.0.0 queued", delay=4))
    email = channel(smtp_server.url, smtp_timeout=2, smtp_data_timeout=30)
    assert email.send(notification()).reply_code == 250
    email.hang_up()


def test_a_reply_that_never_comes_is_uncertain_after_the_timeout(smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Hang())
    assert type(failure(channel(smtp_server.url, smtp_data_timeout=0.3))) is Uncertain


def test_the_defaults_are_those_of_rfc_5321_and_add_up() -> None:
    usual = Settings()
    assert usual.smtp.timeout >= 300  # 4.5.3.2.1 to 4.5.3.2.3
    assert usual.smtp.data_timeout >= 600  # 4.5.3.2.6
    # A list is claimed, its last mail begins within LIST_BUDGET, is out within the limit, and is answered.
    limit = usual.delivery.send_limit(usual.smtp.data_timeout)
    assert usual.delivery.list_budget + limit + usual.smtp.data_timeout < usual.delivery.stuck_after
    # 9.4 MB at 64 kbit/s.
    assert limit > 2 * usual.smtp.connect_timeout + 4 * usual.smtp.timeout + 9_400_000 * 8 / 64_000


@pytest.mark.parametrize("phase", ["connect", "mail", "rcpt", "data"])
def test_a_stopping_process_aborts_a_mail_that_is_not_completely_sent(smtp_server: SmtpServer, phase: str) -> None:
    smtp_server.on(phase, Hang())  # type: ignore[arg-type]
    email = channel(smtp_server.url, shutdown_grace=1)

    def stop() -> None:
        eventually(lambda: smtp_server.hanging)
        email.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    assert type(failure(email)) is (ProviderDown if phase == "connect" else Deferred)
    stopping.join()


def test_a_stopping_process_waits_for_the_answer_to_a_sent_mail(smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Reply(250, "2.0.0 queued", delay=3))
    email = channel(smtp_server.url, shutdown_grace=1)
    email.stop()
    assert email.send(notification()).reply_code == 250
    email.hang_up()
