"""SIGHUP and SIGUSR2 to the API after its code was replaced on disk."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.client import Client
from tests.eventually import eventually
from tests.load import Load
from tests.processes import ROOT, Group

pytestmark = pytest.mark.long

CODE = ("actors", "api", "cli", "db", "runtime", "settings")
NEW = "new"


@pytest.fixture
def world(new_world: NewWorld, tmp_path: Path) -> Iterator[World]:
    """The API, running from a copy of the code that a test may change."""
    world = new_world(web_concurrency=2)
    world.system.root = tmp_path
    shutil.copy(ROOT / "gunicorn.conf.py", tmp_path)
    for package in CODE:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    world.system.start_api(processes=2)
    yield world
    world.system.stop()


def append(path: Path, text: str) -> None:
    """Add lines to a module."""
    path.write_text(path.read_text() + text)


def deploy(root: Path) -> None:
    """Replace the code by one in which modules that the master has imported and others need each other's news."""
    append(root / "settings" / "__init__.py", f"\nNEWS = {NEW!r}\n")
    append(root / "runtime" / "logs.py", f"\nNEWS = {NEW!r}\n")
    (root / "db" / "news.py").write_text("from settings import NEWS as NEWS\n")
    append(root / "db" / "database.py", "\nfrom db.news import NEWS as NEWS\n")
    append(root / "api" / "http" / "heads.py", f"\nNEWS = {NEW!r}\n")
    append(root / "api" / "http" / "worker.py", "\nfrom api.http.heads import NEWS as NEWS\n")
    news = """
from runtime import logs
from api.http.worker import NEWS as SERVED
from db.database import NEWS as STORED

class Alive:
    async def on_get(self, req, resp):
        resp.text = f"{logs.NEWS} {SERVED} {STORED}"
"""
    append(root / "api" / "resources" / "health.py", news)


def alive(world: World) -> str:
    """Return the answer of one process to a health check over a new connection."""
    with Client(world.system.port) as client:
        return client.get("/healthz").raw.decode()


def workers(group: Group) -> set[int]:
    """Pids of all but the master."""
    return set(group.members) - {group.pid}


def test_after_a_sighup_all_workers_run_the_new_code_and_no_request_is_lost(world: World) -> None:
    api = world.system.api
    assert api is not None
    before = workers(api)
    load = Load(world.system.port, world.recipients(), connections=8).start()
    eventually(lambda: len(load.accepted) > 100)
    deploy(world.system.root)
    api.signal(signal.SIGHUP)
    eventually(lambda: not before & workers(api), within=40, saying=world.system.logs)
    enough = len(load.accepted) + 100
    eventually(lambda: len(load.accepted) > enough, saying=world.system.logs)
    load.stop()
    assert {alive(world) for _ in range(20)} == {f"{NEW} {NEW} {NEW}"}
    stored = world.system.sql.rows("SELECT id FROM notifications WHERE id >= %s", min(load.accepted))
    assert {(id,) for id in load.accepted} == set(stored)
    # A connection that is kept open may be closed between two requests (RFC 9112, 9.5); nothing is refused.
    assert not [refusal for refusal in load.refused if refusal[0].isdigit()]


def test_a_module_added_by_one_deploy_is_reloaded_by_the_next(world: World) -> None:
    api, root = world.system.api, world.system.root
    assert api is not None
    append(root / "settings" / "__init__.py", "\nfrom settings.brought import NEWS as NEWS\n")
    said = """
import settings

class Alive:
    async def on_get(self, req, resp):
        resp.text = settings.NEWS
"""
    append(root / "api" / "resources" / "health.py", said)
    for news in ("first", "second"):
        (root / "settings" / "brought.py").write_text(f"NEWS = {news!r}\n")
        before = workers(api)
        api.signal(signal.SIGHUP)
        eventually(lambda: not before & workers(api), within=40, saying=world.system.logs)  # noqa: B023
        assert {alive(world) for _ in range(10)} == {news}


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("settings/__init__.py", "import nothing_of_this_name\n"),
        ("api/app.py", "def broken(:\n"),
        ("api/http/worker.py", "raise RuntimeError('half a deploy')\n"),
        ("db/database.py", "from db.nowhere import nothing\n"),
    ],
    ids=["a module that is missing", "no Python", "an error", "a name that is missing"],
)
def test_new_code_that_does_not_start_leaves_the_old_code_running(world: World, module: str, fault: str) -> None:
    api = world.system.api
    assert api is not None
    before = workers(api)
    append(world.system.root / module, f"\n{fault}")
    api.signal(signal.SIGHUP)
    eventually(lambda: "reload.refused" in api.log.read_text(), within=40, saying=world.system.logs)
    assert workers(api) == before
    assert world.post(20)
    # And what is mended is taken.
    path = world.system.root / module
    path.write_text(path.read_text().removesuffix(fault))
    api.signal(signal.SIGHUP)
    eventually(lambda: not before & workers(api) and workers(api), within=40, saying=world.system.logs)
    assert world.post(20)


def test_a_new_master_after_sigusr2_takes_over_on_the_same_socket(world: World) -> None:
    api = world.system.api
    assert api is not None
    before = workers(api)
    load = Load(world.system.port, world.recipients(), connections=8).start()
    eventually(lambda: len(load.accepted) > 100)
    deploy(world.system.root)
    api.signal(signal.SIGUSR2)
    eventually(lambda: len(workers(api)) >= 5, within=40, saying=world.system.logs)
    eventually(lambda: f"{NEW} {NEW} {NEW}" in {alive(world) for _ in range(20)}, within=40, saying=world.system.logs)
    api.signal(signal.SIGTERM)
    eventually(lambda: not api.running and not before & workers(api), within=40, saying=world.system.logs)
    enough = len(load.accepted) + 100
    eventually(lambda: len(load.accepted) > enough, saying=world.system.logs)
    load.stop()
    assert {alive(world) for _ in range(20)} == {f"{NEW} {NEW} {NEW}"}
    stored = world.system.sql.rows("SELECT id FROM notifications WHERE id >= %s", min(load.accepted))
    assert {(id,) for id in load.accepted} == set(stored)
    assert not [refusal for refusal in load.refused if refusal[0].isdigit()]
