"""Transitions at the same moment, many times."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from uuid import uuid4

import pytest

from db import lifecycle
from db.records import Times
from tests.integration.racing import ROUNDS, at_once
from tests.integration.rows import (
    CLIENT,
    GRACE,
    accepted,
    alive,
    attempt,
    claimed,
    failed,
    history,
    in_seconds,
    row,
    status,
)

pytestmark = pytest.mark.usefixtures("store")


def test_a_claim_at_the_moment_of_an_operator_s_retry_takes_the_row_or_leaves_it() -> None:
    for _ in range(ROUNDS * 4):
        id = failed()
        taken = [partial(lifecycle.claim, [id], uuid4())] * 2
        *claims, moved = sorted(at_once([partial(lifecycle.redrive, id, CLIENT, GRACE), *taken]), key=_is_verdict)
        assert moved is True
        assert sum(map(len, claims)) == (status(id) == "processing")


def _is_verdict(outcome: object) -> bool:
    return isinstance(outcome, bool)


def test_each_row_that_many_workers_claim_at_once_goes_to_one() -> None:
    for _ in range(ROUNDS):
        ids = accepted(20)
        taken = at_once([partial(lifecycle.claim, ids, uuid4()) for _ in range(8)])
        counts = Counter(c.id for part in taken for c in part)
        assert counts == dict.fromkeys(ids, 1)


def test_claims_of_overlapping_lists_never_wait_for_each_other() -> None:
    for _ in range(ROUNDS):
        ids = accepted(50)
        orders = [ids, ids[::-1], ids[25:] + ids[:25], ids[::2] + ids[1::2]]
        at_once([partial(lifecycle.claim, order, uuid4()) for order in orders])
        assert {status(id) for id in ids} == {"processing"}


def test_cancel_and_claim_never_both_win() -> None:
    for _ in range(ROUNDS):
        [id] = accepted()
        results = at_once([partial(lifecycle.cancel, id, CLIENT), partial(lifecycle.claim, [id], uuid4())])
        assert sum(map(bool, results)) == 1
        assert status(id) == ("cancelled" if True in results else "processing")


def test_settle_and_rescue_never_both_record_the_attempt() -> None:
    for _ in range(ROUNDS):
        held = claimed(uuid4())
        observer = alive(uuid4(), steady_for=100)
        sent = lifecycle.sent(held, attempt())
        results = at_once(
            [
                partial(lifecycle.settle, [sent], GRACE, time.monotonic()),
                partial(lifecycle.rescue, observer, 30, 600, 5, 100),
            ]
        )
        settled = {(held.id, held.claim)} in results
        assert settled != ([held.id] in results)
        assert history(held.id) == (["sent"] if settled else ["lost"])


def test_many_observers_rescue_a_row_once() -> None:
    for _ in range(ROUNDS):
        held = [claimed(uuid4()) for _ in range(5)]
        observers = [alive(uuid4(), steady_for=100) for _ in range(4)]
        at_once([partial(lifecycle.rescue, o, 30, 600, 5, 100) for o in observers])
        assert [row(c.id)["attempt_count"] for c in held] == [1] * 5


def test_two_simultaneous_redrives_of_a_row_are_one() -> None:
    for _ in range(ROUNDS):
        held = claimed()
        lifecycle.settle([lifecycle.failed(held, attempt("refused"), "rejected")], GRACE, time.monotonic())
        assert sorted(at_once([partial(lifecycle.redrive, held.id, CLIENT, GRACE)] * 4)) == [False, False, False, True]


def test_reschedule_and_claim_never_both_win() -> None:
    later = Times(sends=True, send_at=in_seconds(600), expires=False, expires_at=None)
    for _ in range(ROUNDS):
        [id] = accepted()
        results = at_once([partial(lifecycle.reschedule, id, CLIENT, later), partial(lifecycle.claim, [id], uuid4())])
        # The claim may also pass over a row that is being moved.
        assert sum(map(bool, results)) <= 1
        assert status(id) == ("processing" if any(isinstance(r, list) and r for r in results) else "pending")


def test_two_simultaneous_redrives_of_many_rows_move_each_once() -> None:
    for _ in range(ROUNDS):
        ids = [failed() for _ in range(20)]
        moved = at_once([partial(lifecycle.redrive_all, CLIENT, {}, None, 100)] * 4)
        assert sorted(place.id for part in moved for place in part) == ids
