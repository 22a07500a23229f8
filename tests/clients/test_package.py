"""The built wheel: it holds every file, runs what its README shows, and needs nothing of the server."""

from __future__ import annotations

import ast
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.clients.installation import SOURCE, build, install, run
from tests.docs.blocks import blocks

pytestmark = pytest.mark.long

PACKAGE = SOURCE / "src" / "notification_client"
SERVER = {"settings", "runtime", "db", "actors", "api", "cli", "tests"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this code."""
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel."""
    return install(wheel, tmp_path_factory.mktemp("venv"))


def test_the_wheel_contains_every_file(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = {file.relative_to(SOURCE / "src").as_posix() for file in PACKAGE.rglob("*") if file.is_file()}
    assert {file for file in files if "__pycache__" not in file} - inside == set()
    assert "notification_client/py.typed" in inside


@pytest.fixture(scope="module")
def open_world(new_world: NewWorld) -> World:
    """An API that wants no key, as after `make run`, and a worker."""
    world = new_world()
    world.system.start_api()
    world.system.start_workers()
    return world


def test_the_examples_of_its_readme_run_from_the_wheel(python: Path, open_world: World, tmp_path: Path) -> None:
    examples = [block.text for block in blocks((SOURCE / "README.md").read_text()) if block.language == "python"]
    assert examples
    for example in examples:
        program = tmp_path / "example.py"
        program.write_text(example.replace("127.0.0.1:8000", f"127.0.0.1:{open_world.system.port}"))
        assert run(python, "-P", "-W", "error", program, cwd=tmp_path).split()[0] == "sent"


def test_the_client_is_imported_from_the_wheel_and_not_from_the_checkout(python: Path, tmp_path: Path) -> None:
    printed = run(python, "-P", "-c", "import notification_client; print(notification_client.__file__)", cwd=tmp_path)
    assert Path(printed.strip()).is_relative_to(python.parent.parent)


def test_the_ordinary_client_needs_neither_aiohttp_nor_django(python: Path, tmp_path: Path) -> None:
    program = "import notification_client, sys; print({'aiohttp', 'django'} & set(sys.modules))"
    assert run(python, "-P", "-c", program, cwd=tmp_path).strip() == "set()"


def test_the_client_imports_nothing_of_the_server() -> None:
    imported = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported & SERVER == set()


def test_the_user_agent_has_the_version_of_the_package() -> None:
    version = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["version"]
    assert f'"notification-client/{version}"' in (PACKAGE / "endpoint.py").read_text()
