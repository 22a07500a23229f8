"""`notify doctor` on the distribution's PostgreSQL: what makes plans slow, and what is written into its log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.doctor import planning
from cli.doctor.findings import OK, WARNING
from db.database import bind, connection, database, rows
from db.planning import FEW, WANTED
from tests.environment import configured
from tests.eventually import eventually
from tests.servers.stock_postgres import ROLE, StockPostgres


@pytest.fixture
def session(stock_database_url: str) -> Iterator[None]:
    """This thread's connection to an empty database, as `bind` makes it."""
    with configured(database_url=stock_database_url) as settings:
        bind(settings.database)
        with connection():
            yield
        database.close()


def said(check: str = planning.CHECK, level: str = WARNING) -> list[str]:
    return [f"{one.what}; {one.fix}" for one in planning.findings() if (one.check, one.level) == (check, level)]


@pytest.mark.usefixtures("session")
def test_doctor_reports_no_fault_of_the_settings_of_the_distribution() -> None:
    assert rows("SELECT reset_val FROM pg_settings WHERE name = 'enable_seqscan'") == [("on",)]
    assert said() == []
    assert len(said(level=OK)) == 1


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("name", WANTED)
def test_a_setting_that_did_not_reach_the_session_is_reported_with_its_fix(name: str) -> None:
    wrong = {"jit": "on", "plan_cache_mode": "auto"}.get(name, "off")
    rows(f"SET {name} = {wrong}")

    [line] = said()
    assert line.startswith(f"{name} is {wrong} for our sessions")
    assert line.endswith(f"ALTER ROLE CURRENT_USER SET {name} = {WANTED[name]}")


@pytest.mark.usefixtures("session")
def test_an_ordinary_role_can_run_the_suggested_fix() -> None:
    for name, value in WANTED.items():
        rows(f"ALTER ROLE CURRENT_USER SET {name} = {value}")
    rows("ALTER ROLE CURRENT_USER RESET ALL")


@pytest.mark.usefixtures("session")
def test_doctor_reports_old_statistics_and_tables_without_autovacuum() -> None:
    rows("ALTER TABLE notifications_0 SET (autovacuum_enabled = false)")
    [line] = said()
    assert line.startswith("autovacuum is off for notifications_0")
    rows(
        "INSERT INTO notifications (type, recipient, subject, message)"
        " SELECT 'email', 'a@example.com', '', '' FROM generate_series(1, %s)",
        FEW + 1,
    )
    eventually(lambda: len(said()) == 2)
    assert f"{FEW + 1:,} of the " in said()[1]
    assert "rows of notifications_0 have changed" in said()[1]

    rows("ANALYZE notifications_0")
    rows("ALTER TABLE notifications_0 RESET (autovacuum_enabled)")
    eventually(lambda: said() == [])


@pytest.mark.usefixtures("session")
def test_doctor_reports_messages_in_the_log_of_postgresql_until_it_is_fixed(stock_postgres: StockPostgres) -> None:
    [line] = said(planning.LOG)
    assert "log_min_error_statement = error" in line
    try:
        stock_postgres.run(f"ALTER ROLE {ROLE} SET log_min_error_statement = panic")
        stock_postgres.run(f"ALTER ROLE {ROLE} SET log_error_verbosity = terse")
        database.close()
        with connection():
            assert said(planning.LOG) == []
        stock_postgres.run(f"ALTER ROLE {ROLE} SET log_min_duration_statement = 100")
        database.close()
        with connection():
            assert "log_min_duration_statement = 100ms" in said(planning.LOG)[0]
    finally:
        stock_postgres.run(f"ALTER ROLE {ROLE} RESET ALL")
