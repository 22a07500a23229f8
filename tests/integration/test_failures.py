"""Groups of failures, and the filters that find the failures of a group."""

from __future__ import annotations

import time

import pytest

from db import failures, lifecycle
from db.database import rows
from db.failures import Group
from tests.integration.rows import GRACE, WORKER, accepted, attempt, failed, suppressed

pytestmark = pytest.mark.usefixtures("store")


def refused(code: int = 550) -> int:
    [held] = lifecycle.claim(accepted(), WORKER)
    lifecycle.settle([lifecycle.failed(held, attempt("refused", f"{code} no"), "rejected")], GRACE, time.monotonic())
    rows("UPDATE attempts SET reply_code = %s WHERE notification_id = %s", code, held.id)
    return held.id


def kinds(among: int = 100, most: int = 100) -> list[tuple[object, ...]]:
    return [(g.failure_reason, g.outcome, g.reply_code, g.number, g.last_id) for g in grouped(among, most)]


def grouped(among: int = 100, most: int = 100) -> list[Group]:
    return failures.grouped(1, among, most)


def test_failures_are_grouped_by_how_their_last_attempt_ended() -> None:
    ids = [refused(), refused(), refused(552), failed()]

    assert kinds() == [
        ("rejected", "refused", 550, 2, ids[1]),
        ("exhausted", "deferred", 250, 1, ids[3]),
        ("rejected", "refused", 552, 1, ids[2]),
    ]
    assert len(grouped(most=1)) == 1
    assert sum(group.number for group in grouped(among=2)) == 2
    assert failures.grouped(2, 100, 100) == []


def test_failures_without_an_attempt_are_a_group_of_their_own() -> None:
    with suppressed():
        [id] = accepted()

    assert kinds() == [("suppressed", None, None, 1, id)]
    none = {"failure_reason": "suppressed", "last_attempt": [None] * 4}
    assert failures.count(1, none, None, 10) == 1
    assert failures.count(1, none | {"last_attempt": ["refused", "mail:25", "content", "550"]}, None, 10) == 0


def test_the_filters_of_a_group_find_its_failures() -> None:
    for code in (550, 550, 552):
        refused(code)
    for group in grouped():
        last = [group.outcome, group.provider, group.phase, str(group.reply_code)]
        filters = {"failure_reason": group.failure_reason, "last_attempt": last}
        assert failures.count(1, filters, None, 10) == group.number
        assert failures.count(1, filters | {"created_from": group.oldest}, None, 10) == group.number
        assert failures.count(1, filters | {"created_to": group.oldest}, None, 10) == 0


def test_a_test_key_sees_sandbox_failures() -> None:
    refused()
    assert failures.grouped(1, 100, 100, {"sandbox": True}) == []
