"""What import-linter cannot see: what is installed and checked, what an import loads, who writes a status."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.sql_writes import statements, writers, writes

ROOT = Path(__file__).parents[2]
PACKAGES = {"settings", "runtime", "db", "actors", "api", "cli"}


def test_every_package_is_installed_and_checked() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = {name.strip("*") for name in setup["options.packages.find"]["include"].split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert "py_modules" not in setup["options"]
    assert installed == PACKAGES == set(project["importlinter"]["root_packages"])
    assert set(project["mypy"]["files"]) >= PACKAGES


def test_nothing_lies_loose_at_the_root() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["gunicorn.conf.py"]


def test_the_api_starts_without_what_delivers() -> None:
    program = "import sys, api.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "actors.queue.broker" in loaded
    assert not loaded & {"actors.worker", "actors.upkeep", "actors.channels.email.channel", "aiohttp"}


def test_a_status_is_written_by_the_lifecycle_alone() -> None:
    sources = (path for name in sorted(PACKAGES) for path in sorted((ROOT / name).rglob("*.py")))
    found = writers((path for path in sources if path.parent.name != "migrations"), ROOT)
    assert found == {
        "update": {"db/lifecycle.py"},
        # With an idempotency key a notification is stored together with the key, in one statement.
        "insert": {"db/lifecycle.py", "db/idempotency.py"},
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
        ("UPDATE {?} SET status = 'sent'", {"update"}),
        ("UPDATE notifications SET x = (SELECT 1 FROM y WHERE a = b), status = 'sent'", {"update"}),
        ("INSERT INTO notifications (id, status) VALUES (1, 'sent')", {"insert"}),
        ("INSERT INTO notifications SELECT * FROM others", {"insert"}),
        ("INSERT INTO notifications ({?}) SELECT 1", {"insert"}),
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


def test_notifications_are_written_by_statements_and_never_through_the_model() -> None:
    model = re.compile(r"\bNotification\s*\.\s*(update|insert|create|replace|bulk|delete|get_or_create|set_by_id)")
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert [path.name for path in sources if model.search(path.read_text())] == []
