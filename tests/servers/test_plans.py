"""No statement reads more than it moves and none is compiled, whatever the planner knew when it made the plan.

PostgreSQL plans a prepared statement anew when a table is analyzed and at no other time, and what it knows
of a table is as old as the last ANALYZE. Both the distribution's server and the embedded one are asked,
with JIT on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cli.servers.postgres import Postgres
from db import prepared
from db.database import bind, connection, database, rows
from db.migrations import migrate
from tests import embedded
from tests.environment import configured
from tests.servers import moves, planning
from tests.servers.moves import MOVED, MOVES, Move
from tests.servers.stock_postgres import StockPostgres

pytestmark = pytest.mark.long

SMALL, BACKLOG, BIG = 400, 20_000, 250_000
# Of each row that is moved: itself, found by more than one index, what was there before it and is not vacuumed yet, and
# the events of the moves before it, which are read whole while they fill a page or two.
READ = 400 * MOVED
# PostgreSQL 14 to 17 add 10^10 for what a setting forbids and the plan cannot avoid.
FORBIDDEN = 1e9


def on_the_distributions() -> Iterator[str]:
    """DATABASE_URL of an empty database on the distribution's server."""
    with ExitStack() as lasting:
        server = StockPostgres(lasting.enter_context(embedded.short_directory()), settings=planning.SETTINGS)
        lasting.callback(server.kill)
        server.start()
        yield lasting.enter_context(server.empty())


def on_the_embedded() -> Iterator[str]:
    """DATABASE_URL of an empty database on the embedded server."""
    with embedded.short_directory() as directory:
        server = Postgres(directory / "data", directory, settings={**planning.SETTINGS, "jit": "on"})
        try:
            server.start()
            yield server.url
        finally:
            server.stop()


@pytest.fixture(scope="module", params=[on_the_distributions, on_the_embedded])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """DATABASE_URL of a migrated database."""
    for url in request.param():
        with configured(database_url=url) as settings:
            bind(settings.database)
            migrate()
            yield url
            database.close()


@pytest.fixture
def session(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new connection to empty tables, with the plans that it uses."""
    monkeypatch.setattr(prepared._Plans, "works", True)
    database.close()
    with connection():
        planning.listen()
        rows("TRUNCATE notifications, attempts, events, workers, idempotency_keys, suppressions, backlogs")
        yield
    database.close()


def emptied() -> None:
    """PostgreSQL knows that the tables are empty."""
    rows("VACUUM ANALYZE")
    moves.grow(SMALL)
    moves.try_all(3)
    moves.grow(BACKLOG)


def truncated() -> None:
    """PostgreSQL knows of tables that were large, and they were truncated."""
    moves.grow(BACKLOG)
    rows("VACUUM ANALYZE")
    rows("TRUNCATE notifications, attempts, events, suppressions")
    moves.grow(SMALL)
    moves.try_all(3)
    moves.grow(BACKLOG)


def never_analyzed() -> None:
    """Add the backlog without ANALYZE, as after a bulk load."""
    moves.grow(BACKLOG)


def analyzed() -> None:
    """Add the backlog and analyze the tables in the middle of it, as autovacuum does."""
    moves.grow(BACKLOG)
    moves.try_all(3)
    rows("ANALYZE")


def stale() -> None:
    """When the tables were analyzed, all was sent."""
    moves.grow(BACKLOG)
    rows("DELETE FROM notifications WHERE status <> 'sent'")
    rows("VACUUM ANALYZE")
    moves.try_all(3)
    moves.grow(BACKLOG)


STATES = (emptied, truncated, never_analyzed, analyzed, stale)


def as_we_ask() -> None:
    """The session is as `bind` wants it."""
    assert rows("SELECT current_setting('jit'), current_setting('enable_seqscan')") == [("off", "on")]


def as_behind_a_pooler() -> None:
    """In transaction mode: each statement may reach another session, which nobody has asked for anything."""
    as_the_server_likes()
    prepared._Plans.works = False


def as_the_server_likes() -> None:
    """Give the session other settings, as if those that we ask for had not reached it."""
    rows("RESET ALL")
    rows("SET jit = on; SET plan_cache_mode = auto; SET constraint_exclusion = partition; SET statement_timeout = 0")


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("settings", [as_we_ask, as_the_server_likes, as_behind_a_pooler])
@pytest.mark.parametrize("state", STATES)
def test_no_statement_reads_more_rows_than_it_changes_or_is_compiled_by_jit(
    state: Callable[[], None], settings: Callable[[], None]
) -> None:
    settings()
    state()
    assert_cheap()


@pytest.mark.usefixtures("session")
def test_plans_stay_cheap_with_many_rows() -> None:
    moves.grow(BIG)
    rows("ANALYZE")
    assert_cheap()
    as_the_server_likes()
    assert_cheap()
    as_behind_a_pooler()
    assert_cheap()


def assert_cheap() -> None:
    """Of each move."""
    found = {move.__name__: trouble for move in MOVES if (trouble := measured(move))}
    assert not found, "\n".join(f"{name} {trouble}" for name, trouble in found.items())


def measured(move: Move) -> str:
    """Return the faults of the plans of a move, or an empty text if there are none."""
    ids = moves.due(10 * MOVED)
    for _ in range(3):  # The plan is made with the second.
        move(ids)
    planning.used()
    before = planning.read()
    move(ids)
    plans = planning.used()
    taken = planning.read() - before
    assert plans
    costly = [plan for plan in plans if plan.jit or plan.cost > FORBIDDEN]
    if taken <= READ and not costly:
        return ""
    return f"read {taken} rows, {len(costly)} plans are compiled or forced:\n" + "\n".join(plan.text for plan in plans)
