"""The channel of docs/channels.md, installed as a package beside the system, in a real API and real workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.docs.blocks import blocks
from tests.eventually import eventually
from tests.processes import ROOT
from tests.system import System

pytestmark = pytest.mark.long


@pytest.fixture
def paging(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[System]:
    """A system with the package of the page."""
    package, installed = tmp_path / "package", tmp_path / "installed"
    package.mkdir()
    for block in blocks((ROOT / "docs" / "channels.md").read_text()):
        if block.file:
            (package / block.file).write_text(block.text)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(installed)]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, str(package)], check=True)
    system = System(
        tmp_path,
        database_url=database_url,
        redis_url=redis_url,
        smtp_url="",
        provider_night=f"pager://{tmp_path / 'pages.txt'}",
        pythonpath=f"{installed}:{ROOT}",
    )
    try:
        system.spawn_workers()
        system.start_api()
        yield system
    finally:
        system.stop()


def test_the_example_channel_sends_and_refuses(paging: System, redis_server: Valkey) -> None:
    sent = _page(paging, "42", "The disk is full")
    refused = _page(paging, "0", "Hello", priority="high")

    ends = {sent: ("sent", None), refused: ("failed", "rejected")}
    for id, end in ends.items():
        eventually(
            lambda id=id, end=end: _end(paging, id) == end,  # type: ignore[misc]
            within=20,
            saying=paging.logs,
        )
    assert (paging.directory / "pages.txt").read_text() == "42: The disk is full\n"
    [attempt] = paging.client.attempts(refused)
    assert (attempt["provider"], attempt["outcome"], attempt["replyCode"]) == ("night", "refused", 404)
    assert paging.client.notification(refused)["priority"] == "high"


def test_the_example_channel_checks_its_schema_and_its_worker_leaves_mails_waiting(
    paging: System, redis_server: Valkey
) -> None:
    answer = paging.client.post(NOTIFICATIONS, {"type": "pager", "recipient": "ann@example.com"})
    assert answer.status == 422
    assert {fault["pointer"] for fault in answer.json["errors"]} == {"/recipient", "/message"}

    waiting = paging.client.notify("ann@example.com").json["id"]
    later = _page(paging, "7", "Hello")
    eventually(lambda: _end(paging, later) == ("sent", None), within=20, saying=paging.logs)
    assert _end(paging, waiting) == ("pending", None)


def _page(system: System, recipient: str, message: str, **more: object) -> int:
    document = {"type": "pager", "recipient": recipient, "message": message, **more}
    id: int = system.client.post(NOTIFICATIONS, document).json["id"]
    return id


def _end(system: System, id: int) -> tuple[str, str | None]:
    notification = system.client.notification(id)
    return notification["status"], notification["failureReason"]
