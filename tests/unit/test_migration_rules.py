"""Each new migration keeps the rules of docs/upgrades.md, and each rule would notice if it did not."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from playhouse.migrations import Migration

from db.migrations import DIRECTORY
from db.migrations.indexes import Index
from db.migrations.phases import is_after, known_to, number
from db.migrations.steps import Repeated, Statement, Step
from tests.migration_rules import EXEMPT, faults, statements

ALL = Migration.load_directory(str(DIRECTORY))
ADD = "ALTER TABLE notifications ADD"

BREAKING = {
    "DROP TABLE attempts": "drops what older programs",
    "ALTER TABLE pauses DROP COLUMN kind": "drops what older programs",
    "DROP INDEX notifications_relay": "drops what older programs",
    "ALTER TABLE pauses DROP CONSTRAINT pauses_kind_check": "does not make it again",
    "TRUNCATE backlogs": "empties a table",
    "ALTER TABLE pauses ALTER COLUMN name SET NOT NULL": "may write NULL",
    "ALTER TABLE pauses ADD COLUMN why text NOT NULL": "give it a DEFAULT",
    "ALTER TABLE pauses ADD COLUMN a int NOT NULL, ADD COLUMN b int DEFAULT 1": "give it a DEFAULT",
    "ALTER TABLE pauses ADD CONSTRAINT one UNIQUE (name)": "may break the constraint",
}
HOLDING = {
    "ALTER TABLE pauses RENAME COLUMN name TO title": "no version knows both names",
    "ALTER TABLE attempts ALTER COLUMN number TYPE bigint": "rewrites a large table",
    f"{ADD} COLUMN token uuid DEFAULT gen_random_uuid()": "rewrites a large table",
    f"{ADD} COLUMN n bigint GENERATED ALWAYS AS IDENTITY": "rewrites a large table",
    f"{ADD} CONSTRAINT c CHECK (claim > 0)": "reads a large table",
    f"{ADD} CHECK (claim > 0) NOT VALID; ALTER TABLE notifications VALIDATE CONSTRAINT c": "a step of its own",
    "ALTER TABLE notifications ALTER COLUMN subject SET NOT NULL": "VALIDATE a CHECK",
    "CREATE INDEX slow ON notifications (subject)": "keeps writers out",
    "CREATE UNIQUE INDEX IF NOT EXISTS slow ON ONLY attempts (number)": "keeps writers out",
    "CREATE INDEX CONCURRENTLY quick ON pauses (name)": "cannot be in a transaction",
    "UPDATE notifications SET subject = ''": "use Repeated",
    "DELETE FROM attempts": "use Repeated",
    "LOCK TABLE pauses": "LOCK TABLE",
    "VACUUM FULL pauses": "rewrites a table",
}
HARMLESS = (
    "CREATE TABLE notes (id bigint NOT NULL, at timestamptz DEFAULT clock_timestamp()); CREATE INDEX i ON notes (id)",
    "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD COLUMN n int NOT NULL; DELETE FROM notes",
    f"{ADD} COLUMN note text, {ADD[26:]} COLUMN kind text NOT NULL DEFAULT 'plain' CHECK (kind <> 'no; DROP TABLE x')",
    f"{ADD} CONSTRAINT c CHECK (claim > 0) NOT VALID",
    "ALTER TABLE notifications DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (claim > -1) NOT VALID",
    "ALTER TABLE notifications VALIDATE CONSTRAINT c",
    "CREATE INDEX small ON pauses (name) -- DROP TABLE pauses",
    "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE x; END $$",
    "INSERT INTO backlog_counts DEFAULT VALUES",
    "UPDATE pauses SET name = ''",
)


def migration(*steps: Step) -> SimpleNamespace:
    return SimpleNamespace(STEPS=steps)


@pytest.mark.parametrize("new", [m.name for m in ALL if m.idx > EXEMPT] or [ALL[-1].name])
def test_every_new_migration_follows_the_rules(new: str) -> None:
    [found] = [m for m in ALL if m.name == new]
    if found.idx > EXEMPT:
        assert faults(new, found.load()) == []


def test_each_migration_has_a_number_of_its_own_and_a_name() -> None:
    assert [m.idx for m in ALL] == sorted({m.idx for m in ALL})
    assert all(re.fullmatch(r"\d{4}_[a-z][a-z0-9_]*", m.name) for m in ALL)
    assert not any(is_after(m.name) for m in ALL if m.idx <= EXEMPT)


@pytest.mark.parametrize("sql", BREAKING)
def test_statements_that_break_older_programs_belong_after_the_deploy(sql: str) -> None:
    assert any(BREAKING[sql] in fault for fault in faults("0099_x", migration(Statement(sql))))
    assert faults("0099_x_after", migration(Statement(sql))) == []


@pytest.mark.parametrize("sql", HOLDING)
def test_a_migration_that_blocks_others_is_refused_in_both_phases(sql: str) -> None:
    for name in ("0099_x", "0099_x_after"):
        assert any(HOLDING[sql] in fault for fault in faults(name, migration(Statement(sql)))), name


@pytest.mark.parametrize("sql", HARMLESS)
def test_a_harmless_migration_is_allowed(sql: str) -> None:
    assert faults("0099_x", migration(Statement(sql))) == []


def test_a_column_may_become_not_null_once_a_check_was_validated_in_an_earlier_step() -> None:
    check = Statement("ALTER TABLE notifications VALIDATE CONSTRAINT there")
    tighten = Statement("ALTER TABLE notifications ALTER COLUMN note SET NOT NULL")
    assert faults("0099_x_after", migration(check, tighten)) == []
    assert faults("0099_x_after", migration(tighten, check)) != []


def test_rows_are_changed_a_bounded_number_at_a_time() -> None:
    update = "UPDATE notifications SET note = '' WHERE note IS NULL"
    assert faults("0099_x", migration(Repeated(update))) != []
    limited = "UPDATE notifications SET note = '' WHERE id IN (SELECT id FROM notifications WHERE note IS NULL LIMIT 9)"
    assert faults("0099_x", migration(Repeated(limited), Index("n", "notifications", "(note)"))) == []


def test_a_migration_in_the_older_form_is_checked_too() -> None:
    assert faults("0099_x", SimpleNamespace(SQL="CREATE TABLE notes (id bigint)")) == []
    assert faults("0099_x", SimpleNamespace(SQL="DROP TABLE pauses")) != []
    assert faults("0099_x", SimpleNamespace()) == ["0099_x: has neither STEPS nor SQL to read"]


def test_statements_are_split_correctly_despite_quoted_semicolons() -> None:
    sql = "SELECT ';' -- ;\n; CREATE FUNCTION f() AS $x$ a; b $x$ /* ; */ LANGUAGE sql;"
    assert statements(sql) == ["SELECT ''", "CREATE FUNCTION f() AS '' LANGUAGE sql"]


@pytest.mark.parametrize(
    ("name", "known"), [("notification-system 0013", 13), ("notification-system", 0), ("psql", 0), ("", 0)]
)
def test_the_name_of_a_connection_tells_the_newest_migration_its_program_knows(name: str, known: int) -> None:
    assert known_to(name) == known


def test_the_name_of_a_migration_has_its_number_and_phase() -> None:
    assert (number("0020_note"), is_after("0020_note")) == (20, False)
    assert (number("0021_note_after"), is_after("0021_note_after")) == (21, True)
    assert not is_after("0022_hereafter_x")
