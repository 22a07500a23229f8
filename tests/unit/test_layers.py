"""Rules that import-linter cannot check: installed packages, loaded modules, and writers of a status."""

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


IMPORTING = """
import importlib, socket, sys
import dramatiq.broker, settings

def refuse(*given):
    raise AssertionError("an import did this")

settings.load = settings.read = socket.socket.connect = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
print(dramatiq.broker.global_broker)
"""


def python(program: str, *words: str) -> str:
    """Return what a fresh interpreter prints."""
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=True).stdout


def test_every_package_is_installed_and_checked() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = {name.strip("*") for name in setup["options.packages.find"]["include"].split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert "py_modules" not in setup["options"]
    assert installed == PACKAGES == set(project["importlinter"]["root_packages"])
    assert set(project["mypy"]["files"]) >= PACKAGES


def test_the_root_holds_no_module_but_the_gunicorn_configuration() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["gunicorn.conf.py"]


# Modules that read the webhooks of providers, and make the tokens of mails.
REPORTS = {"event", "reference", "stored_events", "tokens", "providers"} | {
    f"providers.{path.stem}" for path in (ROOT / "actors/reports/providers").glob("[a-z]*.py")
}
# Modules of `actors` that the API may load, beside actors.queue: what channels know of content and addresses.
CONTENT = {
    "actors.channels": {"addresses", "contract", "registry"},
    "actors.channels.email": {
        *("addresses", "attachments", "channel", "dkim", "document", "domains", "headers", "mail", "mailboxes", "mime"),
        *("identity", "signer", "unsubscribing"),
        *("domains.checking", "domains.comparing", "domains.keys", "domains.names", "domains.records"),
    },
    "actors.channels.sms": {"channel", "document", "numbers", "segments", "senders", "text"},
    "actors.channels.push": {"channel", "document", "payloads", "recipients", "subscription"},
    "actors.channels.chat": {"channel", "document", "message"},
    "actors.channels.webhook": {"channel", "document", "networks", "signature", "url_guard"},
    "actors.reports": REPORTS,
}


def test_importing_the_api_imports_no_delivery_code() -> None:
    loaded = set(python("import sys, api.app; print(*sys.modules)").split())
    allowed = {"actors", "actors.channels", *CONTENT}
    allowed |= {f"{channel}.{name}" for channel, names in CONTENT.items() for name in names}
    ours = {name for name in loaded if name.partition(".")[0] == "actors"}
    assert {name for name in ours - allowed if not f"{name}.".startswith("actors.queue.")} == set()
    assert "actors.queue.broker" in ours
    assert "aiohttp" not in loaded


def test_no_import_reads_the_settings_connects_or_creates_a_broker() -> None:
    paths = (path.relative_to(ROOT) for name in sorted(PACKAGES) for path in sorted((ROOT / name).rglob("*.py")))
    modules = [".".join(path.with_suffix("").parts) for path in paths if path.stem.isidentifier()]
    assert len(modules) > 300
    assert python(IMPORTING, *modules) == "None\n"


def test_only_the_lifecycle_writes_a_status() -> None:
    sources = (path for name in sorted(PACKAGES) for path in sorted((ROOT / name).rglob("*.py")))
    found = writers((path for path in sources if path.parent.name != "migrations"), ROOT)
    assert found == {
        "update": {
            f"db/lifecycle/{name}.py"
            for name in ("claim", "settle", "rescue", "operate", "endpoints", "evidence", "unanswered")
        },
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
def test_statements_that_may_write_a_status_are_found(sql: str, kinds: set[str]) -> None:
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


def test_notifications_are_never_written_through_the_peewee_model() -> None:
    model = re.compile(r"\bNotification\s*\.\s*(update|insert|create|replace|bulk|delete|get_or_create|set_by_id)")
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert [path.name for path in sources if model.search(path.read_text())] == []
