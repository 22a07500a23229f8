"""A mail server with several addresses, of which one does not answer."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewWorld
from tests.queries import Tally
from tests.smtp import SmtpServer

pytestmark = pytest.mark.long

NAME = "mail.two-addresses.example"
CONNECT_TIMEOUT = 60  # far more than the test waits for


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """Have a port at which connections are neither taken nor refused: its queue is full, so the kernel drops them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as kept:
        listener = kept.enter_context(socket.socket(family))
        listener.bind((address, port))
        listener.listen(0)
        while True:
            client = kept.enter_context(socket.socket(family))
            client.settimeout(0.5)
            try:
                client.connect((address, port))
            except TimeoutError:
                break
        yield


@pytest.mark.parametrize("silent_ones", [["::1"], ["::1", "127.0.0.2"]], ids=["one", "two"])
def test_another_address_is_tried_when_one_does_not_answer(
    new_world: NewWorld, mail_server: SmtpServer, tmp_path: Path, silent_ones: list[str]
) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can give a process an /etc/hosts of its own")
    hosts = tmp_path / "hosts"
    # IPv6 goes first (RFC 6724).
    hosts.write_text("".join(f"{address} {NAME}\n" for address in [*silent_ones, "127.0.0.1"]))
    with ExitStack() as answering_nothing:
        for address in silent_ones:
            answering_nothing.enter_context(silent(address, mail_server.port))
        world = new_world(smtp_connect_timeout=CONNECT_TIMEOUT, test_hosts=hosts)
        world.system.environ["SMTP_URL"] = f"smtp://{NAME}:{mail_server.port}"
        world.system.start_api()
        world.system.start_workers(2, module="tests.acceptance.with_hosts")
        accepted = world.post(40)
        assert world.tally(accepted, within=CONNECT_TIMEOUT / 2) == Tally.perfect(40)
