"""The code as it was before the last migration, taken from git, on the schema of today."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playhouse.migrations import Migration

from db.migrations import DIRECTORY
from db.migrations.phases import is_after, number
from tests.acceptance.world import World
from tests.migration_rules import EXEMPT
from tests.processes import ROOT
from tests.queries import Queries, Tally
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

MIGRATIONS = DIRECTORY.relative_to(ROOT)


def git(*arguments: str) -> bytes:
    """Return the output of git; skip the test if git is missing or fails."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout
    except FileNotFoundError:
        pytest.skip("git is not installed")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"git has no older code: git {arguments[0]}: {error.stderr.decode().strip()}")


def names(commit: str) -> set[str]:
    """The migrations of a commit."""
    listed = git("ls-tree", "--name-only", commit, f"{MIGRATIONS}/").decode().split()
    return {Path(path).stem for path in listed if Path(path).name[:1].isdigit()}


def last_without(newest: set[str]) -> str | None:
    """The last commit that lacks the last migrations of today, as releases do, and has none renumbered since."""
    for commit in git("log", "--format=%P", "--", str(MIGRATIONS)).decode().split():
        known = names(commit)
        last = max(map(number, known))
        if known < newest and EXEMPT <= last < min(map(number, newest - known)):
            return commit
    return None


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was before the last migration came in."""
    if git("rev-parse", "--is-shallow-repository").strip() != b"false":
        pytest.skip("git has no older code: this is a shallow clone")
    commit = last_without({m.name for m in Migration.load_directory(str(DIRECTORY))})
    if commit is None:
        pytest.skip(
            f"git has no older code that lacks a migration and has those up to {EXEMPT:04}, which the rules exempt"
        )
    directory = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="module")
def world(
    previous: Path,
    module_database_url: str,
    module_redis_url: str,
    mail_server: SmtpServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The API and workers of then, and workers of today."""
    if not (previous / MIGRATIONS / "phases.py").exists():
        # That version refuses whatever it does not know, be it harmless.
        known = [m.name for m in Migration.load_directory(str(previous / MIGRATIONS))]
        forget = "DELETE FROM schema_migration WHERE name <> ALL(%s) RETURNING 1"
        Queries(module_database_url).rows(forget, known)
    # An empty database gets those of the second phase at once, which a deployment does when the old code is gone.
    unfinished = [
        name for name in names("HEAD") - {path.stem for path in (previous / MIGRATIONS).glob("0*")} if is_after(name)
    ]
    Queries(module_database_url).rows("DELETE FROM schema_migration WHERE name = ANY(%s) RETURNING 1", unfinished)
    logs = tmp_path_factory.mktemp("logs")
    system = System(logs, database_url=module_database_url, redis_url=module_redis_url, smtp_url=mail_server.url)
    system.root = previous
    try:
        system.start_api()
        system.start_workers()
        yield World(system, mail_server)
    finally:
        system.stop()


def test_the_code_before_the_last_migration_works_on_its_schema(world: World) -> None:
    accepted = world.post(100)
    assert world.tally(accepted) == Tally.perfect(100)
    assert world.system.client.get("/readyz").json["checks"]["migrations"] == "ok"
