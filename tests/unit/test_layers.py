"""What import-linter cannot see: modules that are no packages, and files that have grown."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.sql_writes import statements, writers, writes

ROOT = Path(__file__).parents[2]
PACKAGES = {"metrics", "db", "actors", "api", "cli"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


LOWEST = sorted(path.stem for path in ROOT.glob("*.py") if path.name != "gunicorn.conf.py")


def test_every_module_of_the_root_is_installed_and_checked() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = {name.strip() for name in setup["options"]["py_modules"].split(",")}
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    assert installed == set(LOWEST)
    assert set(LOWEST) <= {name.removesuffix(".py") for name in checked}


@pytest.mark.parametrize("module", LOWEST)
def test_the_lowest_modules_know_nothing_of_the_packages(module: str) -> None:
    assert not {name.partition(".")[0] for name in imported(ROOT / f"{module}.py")} & PACKAGES


def test_the_api_starts_without_what_delivers() -> None:
    program = "import sys, api.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "actors.broker" in loaded
    assert not loaded & {"actors.worker", "actors.upkeep", "actors.channels.email", "aiohttp"}


def test_a_status_is_written_by_the_lifecycle_alone() -> None:
    sources = (path for name in sorted(PACKAGES) for path in sorted((ROOT / name).rglob("*.py")))
    found = writers((path for path in sources if path.parent.name != "migrations"), ROOT)
    assert found == {
        "update": {f"db/lifecycle/{name}.py" for name in ("claim", "settle", "rescue", "operate")},
        "insert": {"db/lifecycle/accept.py"},
    }


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("UPDATE notifications SET status = 'sent' WHERE id = 1", {"update"}),
        ("update notifications n\n set\n  claim = 1,\n  status='sent'", {"update"}),
        ("WITH a AS (UPDATE notifications AS n SET x = f(1, 2), status = %s RETURNING 1) SELECT", {"update"}),
        ('UPDATE ONLY notifications SET "status" = %s', {"update"}),
        ("UPDATE notifications SET (claim, status) = (1, 'sent')", {"update"}),
        ("UPDATE notifications SET {?} WHERE id = 1", {"update"}),
        ("UPDATE notifications SET claim = 1, {?}", {"update"}),
        ("UPDATE notifications SET {changes} WHERE id = %s", {"update"}),
        ("UPDATE notifications SET claim = {}, {} = %s", {"update"}),
        ("UPDATE notifications SET %s WHERE id = %s", {"update"}),
        ("UPDATE {} SET status = 'sent'", {"update"}),
        ("UPDATE {?} SET status = 'sent'", {"update"}),
        ("UPDATE notifications SET x = (SELECT 1 FROM y WHERE a = b), status = 'sent'", {"update"}),
        ("INSERT INTO notifications (id, status) VALUES (1, 'sent')", {"insert"}),
        ("INSERT INTO notifications SELECT * FROM others", {"insert"}),
        ("INSERT INTO notifications ({?}) SELECT 1", {"insert"}),
        ("INSERT INTO notifications ({columns}) VALUES (%s)", {"insert"}),
        ("INSERT INTO notifications (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET status = 'sent'", {"update"}),
        ("MERGE INTO notifications USING x ON true WHEN MATCHED THEN UPDATE SET status = 1", {"update", "insert"}),
        ("UPDATE notifications SET claim = 1 WHERE status = 'pending'", set()),
        ("UPDATE notifications SET send_at = CASE WHEN n.status = 'failed' THEN NULL END FROM x", set()),
        ("UPDATE notifications SET x = (SELECT status FROM y WHERE a = b), dispatch_after = {?}", set()),
        ("UPDATE callbacks SET status = 'sent'", set()),
        ("SELECT 1 FROM notifications -- UPDATE notifications SET status = 1", set()),
    ],
)
def test_what_may_write_a_status_is_seen(sql: str, kinds: set[str]) -> None:
    assert writes(sql) == kinds


def test_placeholders_are_filled_in_where_the_module_knows_them() -> None:
    source = """first = f"UPDATE notifications SET {CHANGES}"; second = f"UPDATE notifications SET {given}" """
    assert list(statements(source, {"CHANGES": "claim = 1"})) == [
        "UPDATE notifications SET claim = 1",
        "UPDATE notifications SET {?}",
    ]


def test_concatenated_strings_are_read_as_one() -> None:
    source = """rows("UPDATE notifications" + " SET " + given); print(rows("SELECT 1") + rows("SELECT 2"))"""
    assert list(statements(source, {})) == ["UPDATE notifications SET {?}", "SELECT 1", "SELECT 2"]


def test_notifications_are_written_by_statements_and_never_through_the_model() -> None:
    model = re.compile(r"\bNotification\s*\.\s*(update|insert|create|replace|bulk|delete|get_or_create|set_by_id)")
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert [path.name for path in sources if model.search(path.read_text())] == []
