"""Idempotency keys in the database: each is stored together with its notification."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from db import idempotency
from db.database import Contended, Unacceptable, connection, database, rows
from db.idempotency import Key, Post, Refusal, Stored, accept_once
from tests.integration.racing import ROUNDS, at_once
from tests.integration.rows import CLIENT, GRACE, draft, row

pytestmark = pytest.mark.usefixtures("store")

WAIT = 5.0


def post(key: str | None, recipient: str = "a@example.com", client_id: int = CLIENT) -> Post:
    wanted = draft(recipient)._replace(client_id=client_id)
    return Post(wanted, None if key is None else Key(key, recipient.encode()))


def outcomes(*posts: Post) -> list[tuple[int, bool] | Refusal]:
    found = accept_once(posts, GRACE, WAIT)
    return [(o.accepted.id, o.replayed) if isinstance(o, Stored) else o for o in found]


def count() -> int:
    return int(rows("SELECT count(*) FROM notifications")[0][0])


def test_each_post_gets_its_own_result_in_order() -> None:
    posts = [post(f"k{n * 7 % 50:02}" if n % 3 else None, f"{n}@example.com") for n in range(50)]
    found = outcomes(*posts)
    assert [row(o[0])["recipient"] for o in found if isinstance(o, tuple)] == [f"{n}@example.com" for n in range(50)]
    again = outcomes(*posts)
    assert [o for n, o in enumerate(again) if n % 3] == [(o[0], True) for n, o in enumerate(found) if n % 3]  # type: ignore[index]
    assert count() == 50 + 17


def test_the_same_key_twice_in_one_statement_stores_one_notification() -> None:
    first, second, other = outcomes(post("k"), post("k"), post("k", "b@example.com"))
    assert isinstance(first, tuple)
    assert second == (first[0], True)
    assert other is Refusal.OTHER
    assert count() == 1


def test_two_clients_can_use_the_same_key() -> None:
    [(mine, _)], [(theirs, replayed)] = outcomes(post("k")), outcomes(post("k", client_id=2))  # type: ignore[misc]
    assert (mine != theirs, replayed) == (True, False)


def test_a_row_that_cannot_be_stored_leaves_no_key() -> None:
    wrong = post("k")._replace(draft=draft()._replace(type=None))  # type: ignore[arg-type]
    with pytest.raises(Unacceptable), connection():
        accept_once([wrong], GRACE, WAIT)
    assert rows("SELECT FROM idempotency_keys") == []
    assert outcomes(post("k"))[0] != Refusal.OTHER


def test_a_key_in_simultaneous_posts_is_stored_once() -> None:
    for turn in range(ROUNDS):
        keys = [f"{turn}-{n}" for n in range(10)]
        orders = [keys, keys[::-1], keys[5:] + keys[:5], keys[::2] + keys[1::2]]
        results = at_once([partial(accept_once, [post(k) for k in order], GRACE, WAIT) for order in orders])
        stored = [outcome for result in results for outcome in result]
        assert all(isinstance(outcome, Stored) for outcome in stored)
        assert sum(not outcome.replayed for outcome in stored) == 10
        assert len({outcome.accepted.id for outcome in stored}) == 10


def test_the_wait_for_another_transaction_is_limited() -> None:
    with database.atomic() as transaction:
        outcomes(post("open"))
        with pytest.raises(Contended):
            at_once_raising(partial(accept_once, [post("open"), post("other")], GRACE, 0.05))
        transaction.rollback()
    assert rows("SELECT FROM idempotency_keys WHERE key = 'other'") == []


def at_once_raising(call: Callable[[], object]) -> None:
    """Run it on a connection of its own and raise here what it raised there."""

    def caught() -> BaseException | None:
        try:
            with connection():
                call()
        except Contended as error:
            return error
        return None

    [error] = at_once([caught])
    if error:
        raise error


def test_keys_are_deleted_only_after_their_lifetime() -> None:
    outcomes(post("old"), post("older"), post("new"))
    rows("UPDATE idempotency_keys SET created_at = now() - interval '2 days' WHERE key <> 'new'")
    idempotency.forget(86_400 * 3, 10)
    assert rows("SELECT count(*) FROM idempotency_keys") == [(3,)]
    idempotency.forget(86_400, 1)
    assert rows("SELECT count(*) FROM idempotency_keys") == [(2,)]
    idempotency.forget(86_400, 10)
    assert rows("SELECT key FROM idempotency_keys") == [("new",)]
    assert outcomes(post("old"))[0] == (4, False)
