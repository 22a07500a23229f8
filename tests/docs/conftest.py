"""The documented system, started once, and a copy of the project for the blocks to run in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from tests.docs.blocks import Block
from tests.docs.documented import Documented
from tests.docs.reader import TIME_LIMIT, Reader
from tests.processes import ROOT

Reading = Callable[..., list[str]]


@pytest.fixture(scope="module")
def documented(
    tmp_path_factory: pytest.TempPathFactory, module_database_url: str, redis_server: Valkey
) -> Iterator[Documented]:
    """All that a reader has started."""
    system = Documented(tmp_path_factory.mktemp("documented"), module_database_url, redis_server.url)
    try:
        system.start()
        yield system
    finally:
        system.stop()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as somebody has cloned it, with its environment; docs/ is a copy, because blocks write there."""
    place = tmp_path / "notification-system"
    place.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in ("docs", "build", ".venv", ".data", ".git"):
            (place / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "docs", place / "docs", ignore=shutil.ignore_patterns("reference"))
    return place


@pytest.fixture
def read(documented: Documented, clone: Path, tmp_path: Path) -> Reading:
    """Executes blocks one after the other; what is wrong with them."""

    def reading(blocks: list[Block], time_limit: float = TIME_LIMIT) -> list[str]:
        with Reader(documented, clone, tmp_path / "blocks", time_limit) as reader:
            return [fault for block in blocks for fault in reader.faults(block)]

    return reading
