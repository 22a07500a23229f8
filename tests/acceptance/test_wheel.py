"""The built wheel, installed where there is no checkout: it holds every file, and `notify` runs all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.processes import ROOT, Group

pytestmark = pytest.mark.long

PACKAGES = ("actors", "api", "cli", "db", "runtime", "settings")
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "gunicorn.conf.py")


def run(*command: object) -> str:
    """Run a program that must end well, and return what it printed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this code, built from a copy of it."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*build, "--wheel-dir", built, source)
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment that has the wheel, and its dependencies from ours."""
    directory = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", directory)
    [packages] = directory.glob("lib/python3*/site-packages")
    # A path alone: the files beside it that lead to the checkout are not followed.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--python", directory / "bin" / "python", "install")
    run(*pip, "--no-deps", "--no-index", wheel)
    return directory / "bin"


def test_the_wheel_contains_every_file(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    expected = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert expected - inside == set()
    assert [name for name in inside if name.endswith("share/notification-system/gunicorn.conf.py")]


def test_the_gunicorn_settings_name_exactly_the_packages_of_the_wheel(installed: Path, world: World) -> None:
    [conf] = installed.parent.rglob("share/notification-system/gunicorn.conf.py")
    printed = f"import runpy; print(*runpy.run_path({str(conf)!r})['OURS'])"
    command = [str(installed / "python"), "-P", "-c", printed]
    known = subprocess.check_output(command, env=world.system.environ, cwd=world.system.root, text=True)
    assert set(known.split()) == set(PACKAGES)


@pytest.fixture
def world(new_world: NewWorld, installed: Path, tmp_path: Path) -> Iterator[World]:
    """The programs of the wheel at work, in a directory with nothing in it."""
    world = new_world()
    system = world.system
    system.root = tmp_path
    system.api = Group([str(installed / "notify"), "api"], system.environ, system.directory / "api.log", tmp_path)
    workers = [str(installed / "python"), "-P", "-m", "dramatiq", "actors", "-p", "1", "-t", "4"]
    system.workers.append(Group(workers, system.environ, system.directory / "workers.log", tmp_path))
    yield world
    system.stop()


def test_notify_api_and_the_workers_run_without_a_checkout(world: World) -> None:
    client = world.system.client

    def ready() -> bool:
        assert world.system.api is not None
        assert world.system.api.running, world.system.logs()
        try:
            return client.get("/readyz").status == 200
        except ConnectionError:
            return False

    eventually(ready, within=30, saying=world.system.logs)
    assert world.ended(world.post_one(world.recipient()), within=30)["status"] == "sent"
    page = client.get("/").raw.decode()
    assets = [part.split('"')[0] for part in page.split('="') if part.startswith("/static/")]
    assert assets
    assert {client.get(asset).status for asset in assets} == {200}
    assert client.get("/openapi.json").status == 200
    # Rendered by a process of its own.
    template = {"subject": "Hello {{ name }}", "text": "Hello {{ name }}"}
    made = client.send("PUT", "/api/templates/hello", template)
    assert made.status == 201, made.raw
    preview = client.post("/api/templates/hello/preview", {"variables": {"name": "Ada"}})
    assert b"Hello Ada" in preview.raw


def test_notify_api_passes_options_on_to_gunicorn(installed: Path, world: World) -> None:
    def check(**settings: str) -> subprocess.CompletedProcess[str]:
        environ = world.system.environ | settings
        command = [str(installed / "notify"), "api", "--check-config"]
        return subprocess.run(command, env=environ, cwd=world.system.root, capture_output=True, text=True, check=False)

    assert check().returncode == 0
    refused = check(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert refused.returncode != 0
    assert "DATABASE_URL" in refused.stderr
