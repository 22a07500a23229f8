"""Reads for clients use the view of db/client_view.py, in which there are no callbacks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from db.client_view import GUARD, VIEW
from tests.sql_writes import namespace, statements

ROOT = Path(__file__).parents[2]
# Modules that read or change rows of the table itself, and why that is right.
MAY_NAME_THE_TABLE = {
    "db/lifecycle/": "transitions are the same for callbacks; those that a client asks for have a guard",
    "db/migrations/": "the table",
    "db/client_view.py": "the view",
    "db/callbacks.py": "shows the callbacks of an endpoint as what they are",
    "db/callback_health.py": "counts the callbacks of an endpoint",
    "db/backlogs.py": "upkeep: counts by priority, and callbacks have their own",
    "db/breaker.py": "workers: finds the next probe",
    "db/live_stats.py": "operators: counts what waits, callbacks included",
    "db/failing.py": "operators: the newest failures, callbacks included",
    "db/drain.py": "operators: counts what is being sent, callbacks included",
    "db/pauses.py": "upkeep: brings back what was paused",
    "db/retention.py": "upkeep: deletes old rows",
    "db/workers.py": "upkeep: whether a worker that has ended still holds a row",
    "db/traces.py": "workers: the traces of the notifications that callbacks tell of",
    "actors/spans.py": "a span has the name of its statement",
    "db/erasing.py": "changes rows by id, callbacks among them; it finds the notifications in the view",
}
_TABLE = re.compile(
    r"""(?:\b(?:FROM|JOIN|UPDATE|INTO|USING)\s+(?:ONLY\s+|\w+\.)?|,\s*)"?notifications\b(?!\s*\.)""", re.I
)
_MODEL = re.compile(r"\b(?:N|Notification)\s*\.\s*(?:select|get|get_by_id|get_or_none|filter|raw|alias)\b")


def names_the_table(sql: str) -> bool:
    return bool(_TABLE.search(re.sub(r"--[^\n]*", "", sql.replace(VIEW, ""))))


def modules() -> list[Path]:
    return [path for name in ("db", "actors", "api", "cli") for path in sorted((ROOT / name).rglob("*.py"))]


def allowed(path: str) -> bool:
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in MAY_NAME_THE_TABLE)


def uses_the_table(path: Path) -> bool:
    source = path.read_text()
    return bool(_MODEL.search(source)) or any(map(names_the_table, statements(source, namespace(path, ROOT))))


def test_reads_for_clients_use_the_view_and_never_the_table() -> None:
    found = [
        name for path in modules() if not allowed(name := path.relative_to(ROOT).as_posix()) and uses_the_table(path)
    ]
    assert found == []


def test_every_module_on_the_list_of_exceptions_uses_the_table() -> None:
    used = [path.relative_to(ROOT).as_posix() for path in modules() if uses_the_table(path)]
    assert [name for name in MAY_NAME_THE_TABLE if not any(path.startswith(name) for path in used)] == []


def test_transitions_that_clients_ask_for_leave_callbacks_alone() -> None:
    path = ROOT / "db/lifecycle/operate.py"
    asked = [sql for sql in statements(path.read_text(), namespace(path, ROOT)) if "client_id" in sql]
    assert len(asked) == 5
    # `record` has the guard too, for another purpose. A retry is also for a callback, if its endpoint is given.
    guard = re.compile(rf"(?<!n\.){GUARD}|callback_id IS NOT DISTINCT FROM %s")
    assert all(guard.search(sql) for sql in asked)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM notifications WHERE id = %s",
        "select 1\nfrom notifications",
        "SELECT 1 FROM a JOIN notifications AS n USING (id)",
        "SELECT 1 FROM a, notifications AS n",
        'SELECT 1 FROM "notifications"',
        "SELECT 1 FROM public.notifications",
        "UPDATE notifications SET tags = NULL",
        f"SELECT 1 FROM {VIEW} AS n WHERE id IN (SELECT id FROM notifications)",
    ],
)
def test_a_statement_that_names_the_table_is_found(sql: str) -> None:
    assert names_the_table(sql)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 1 FROM {VIEW} AS n",
        f"SELECT 1 FROM {VIEW} AS notifications WHERE notifications.id = %s",
        "SELECT last_value FROM notifications_id_seq",
        "SELECT 1 -- FROM notifications",
    ],
)
def test_a_statement_that_names_the_view_is_not(sql: str) -> None:
    assert not names_the_table(sql)
