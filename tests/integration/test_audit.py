"""The audit log: no act without its record, no record without its act, and none that changes."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import DatabaseError

from actors.retention import Retention
from db import audit, clients, keys, pauses
from db.audit import Act, By
from db.database import rows
from settings import Settings

pytestmark = pytest.mark.usefixtures("store")

ANN = By("cli", name="ann")
DAY = 86_400


def noted(act: str = "pause.began", client: int | None = 1, by: By = ANN, days_ago: int = 0) -> None:
    audit.record(by, Act(act, client, "client 1", {"n": 1}))
    if days_ago:
        rows("SET session_replication_role = replica")
        rows(
            "UPDATE audit SET at = at - %s * interval '1 day' WHERE id = (SELECT max(id) FROM audit)",
            days_ago,
        )
        rows("RESET session_replication_role")


def acts(client: int | None = None, **filters: Any) -> list[str]:
    return [row["act"] for row in audit.newest(client, filters, None, 100)]


def test_an_act_and_its_record_are_committed_together() -> None:
    def told(_: object) -> Act:
        return Act("pause.began", 1)

    pause = audit.recorded(ANN, told, pauses.pause)
    assert pause("client", "1").since is not None
    assert acts() == ["pause.began"]

    def failing(_: object) -> Act:
        return Act("", 1)  # A record that the table refuses: then there is no act either.

    with pytest.raises(DatabaseError):
        audit.recorded(ANN, failing, pauses.pause)("client", "2")
    assert rows("SELECT name FROM pauses") == [("1",)]
    assert acts() == ["pause.began"]


def test_an_act_without_effect_is_not_recorded() -> None:
    def told(key: keys.Key | None) -> Act | None:
        return Act("key.revoked", 1) if key else None

    assert audit.recorded(ANN, told, keys.revoke)(999_999) is None
    assert acts() == []


def test_an_act_that_fails_leaves_no_record() -> None:
    def broken() -> None:
        noted("inner")
        raise LookupError

    with pytest.raises(LookupError):
        audit.recorded(ANN, lambda _: Act("outer", 1), broken)()
    assert acts() == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET name = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit AS a (id, act, outcome, actor) OVERRIDING SYSTEM VALUE SELECT id, act, outcome, actor"
        " FROM audit ON CONFLICT (id) DO UPDATE SET name = 'nobody'",
    ],
)
def test_a_record_can_be_neither_changed_nor_deleted(sql: str) -> None:
    noted()
    with pytest.raises(DatabaseError, match="append-only"):
        rows(sql)
    assert [row["name"] for row in audit.newest(None, {}, None, 9)] == ["ann"]


def test_only_retention_can_delete_records_and_only_old_ones() -> None:
    noted("old", days_ago=3)
    noted("older", days_ago=9)
    noted("new")
    assert audit.forget(2 * DAY, 1) == 1  # The first of them, and no more at a time.
    assert audit.forget(5 * DAY, 100) == 1
    assert acts() == ["new"]
    assert audit.forget(2 * DAY, 100) == 0
    # Nor does it take what is younger than it says itself.
    rows("SELECT set_config('notify.audit_kept', '60', false)")
    with pytest.raises(DatabaseError, match="append-only"):
        rows("DELETE FROM audit")
    rows("RESET notify.audit_kept")


def test_a_round_of_retention_deletes_old_records_unless_audit_kept_is_0(store: Settings) -> None:
    for days in (500, 5):
        noted(f"{days} days ago", days_ago=days)
    for kept, left in ((0, 2), (400 * DAY, 1)):
        rows("UPDATE retention_turns SET due_at = now()")
        Retention(store.changed(AUDIT_KEPT=kept).retention).turn()
        assert len(acts()) == left


def test_records_are_filtered_by_client_actor_and_act() -> None:
    other = clients.create("other", {})
    assert other is not None
    noted("one")
    noted("two", other.id, By("key", 7, None, "192.0.2.1", "r1"))
    noted("three", None, By("worker", name="host"))
    assert acts() == ["three", "two", "one"]
    assert acts(1) == ["one"]
    assert acts(other.id) == ["two"]
    assert acts(actor="worker") == ["three"]
    assert acts(key_id=7) == acts(act="two") == ["two"]
    [(first,)] = rows("SELECT min(id) FROM audit")
    assert [row["act"] for row in audit.newest(None, {}, first + 2, 1)] == ["two"]
    assert [row["act"] for row in audit.rows_after(None, first, 9)] == ["two", "three"]
    [row] = audit.newest(other.id, {}, None, 9)
    assert (row["address"], row["request_id"], row["detail"]) == ("192.0.2.1", "r1", {"n": 1})


def test_a_page_reads_a_limited_number_of_records_and_has_a_cursor() -> None:
    noted("rare")
    rows(
        "INSERT INTO audit (act, client_id, detail, outcome, actor)"
        " SELECT 'common', 1, '{}', 'done', 'cli' FROM generate_series(1, %s) RETURNING id",
        audit.LOOKED_AT,
    )
    noted("rare", client=None)

    first = audit.page(1, {"act": "rare"}, None, 5)
    assert (first.rows, first.before is None) == ([], False)
    second = audit.page(1, {"act": "rare"}, first.before, 5)
    assert ([row["act"] for row in second.rows], second.before) == (["rare"], None)

    page = audit.page(None, {"act": "rare"}, None, 5)
    assert [row["client_id"] for row in page.rows] == [None]
    assert [row["client_id"] for row in audit.page(None, {"act": "rare"}, page.before, 5).rows] == [1]

    page = audit.page(1, {}, None, 2)
    assert page.before == page.rows[-1]["id"]
    assert audit.page(1, {}, page.rows[0]["id"], 1).rows == page.rows[1:]


def test_the_mark_of_an_address_is_stable_and_does_not_reveal_it() -> None:
    assert audit.mark("ann@example.com") == audit.mark("ann@example.com") != audit.mark("bob@example.com")
    assert "ann" not in audit.mark("ann@example.com")
    assert "example" not in audit.mark("ann@example.com")
