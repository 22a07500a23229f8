"""The channel that docs/channels.md shows, in real workers: it keeps to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from tests.docs.blocks import blocks
from tests.eventually import eventually
from tests.processes import ROOT
from tests.system import System


@pytest.fixture
def paging(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[System]:
    """A system whose workers are those of the page."""
    [pager] = [block for block in blocks((ROOT / "docs" / "channels.md").read_text()) if block.file]
    (tmp_path / pager.file).write_text(pager.text)
    system = System(
        tmp_path,
        database_url=database_url,
        redis_url=redis_url,
        smtp_url="smtp://127.0.0.1:9",
        pages=tmp_path / "pages.txt",
        pythonpath=f"{tmp_path}:{ROOT}",
    )
    try:
        system.spawn_workers(module=Path(pager.file).stem)
        system.start_api()
        yield system
    finally:
        system.stop()


def test_the_channel_of_the_page_sends_and_refuses(paging: System, redis_server: Valkey) -> None:
    sent = paging.client.notify("ann@example.com", message="The disk is full").json["id"]
    refused = paging.client.notify("nobody@example.com").json["id"]

    ends = {sent: ("sent", None), refused: ("failed", "rejected")}
    for id, end in ends.items():
        eventually(
            lambda id=id, end=end: _end(paging, id) == end,  # type: ignore[misc]
            within=20,
            saying=paging.logs,
        )
    assert (paging.directory / "pages.txt").read_text() == "ann@example.com: The disk is full\n"
    [attempt] = paging.client.attempts(refused)
    assert (attempt["provider"], attempt["outcome"], attempt["replyCode"]) == ("pager", "refused", 550)


def _end(system: System, id: int) -> tuple[str, str | None]:
    notification = system.client.notification(id)
    return notification["status"], notification["failureReason"]
