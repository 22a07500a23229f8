"""Clients and keys in the database: created, found, rotated with overlap, revoked, expired."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from db import clients, keys, secrets
from db.database import connection, database, rows
from db.keys import Grant, Key, Live
from settings import Settings

DIGEST = secrets.digest("old")
NEXT = secrets.digest("new")
DAY = 86_400.0


@pytest.fixture(autouse=True)
def empty(store: Settings) -> None:
    rows("TRUNCATE clients, keys, domains, domain_keys RESTART IDENTITY")
    rows("INSERT INTO clients (name) VALUES ('default')")


def made(expires_at: datetime | None = None, client: int = 1) -> Key:
    key = keys.create(client, DIGEST, Grant("app", ("send", "read"), False, expires_at))
    assert key is not None
    return key


def live(id: int) -> Live | None:
    return keys.live([id]).get(id)


def aged(id: int, column: str, seconds: float) -> None:
    """Move a timestamp of a key back by so many seconds."""
    rows(f"UPDATE keys SET {column} = {column} - %s * interval '1 second' WHERE id = %s", seconds, id)


def test_a_default_client_exists_from_the_start() -> None:
    found = clients.named("default")
    assert found is not None
    assert (found.id, found.senders, found.rate_limit) == (clients.DEFAULT, [], None)


def test_no_two_clients_have_the_same_name() -> None:
    assert clients.create("shop", {}) is not None
    assert clients.create("shop", {}) is None


def test_an_update_of_a_client_changes_only_the_given_fields() -> None:
    shop = clients.create("shop", {"rate_limit": 5, "senders": ["@shop.example"]})
    assert shop is not None
    assert clients.update(shop.id, {"rate_limit": None, "daily_quota": 7}) == shop._replace(
        rate_limit=None, daily_quota=7
    )
    assert clients.update(shop.id, {}) == clients.one(shop.id)
    assert clients.update(99, {"rate_limit": 1}) is None


def test_a_column_that_is_no_limit_is_never_written() -> None:
    with pytest.raises(KeyError):
        clients.update(1, {"name = 'x' --": 1})


def test_a_key_is_found_with_its_client() -> None:
    key = made()
    found = live(key.id)
    assert found is not None
    assert (found.digest, found.scopes, found.sandbox) == (DIGEST, frozenset({"send", "read"}), False)
    assert found.client == clients.one(1)
    assert found.expires_in is None


def test_a_key_for_an_unknown_client_is_not_created() -> None:
    assert keys.create(99, DIGEST, Grant("app", ("send",))) is None


def test_a_key_with_an_expiry_in_the_past_is_not_created() -> None:
    assert keys.create(1, DIGEST, Grant("app", ("send",), False, datetime.now(UTC) - timedelta(days=1))) is None


def test_a_key_expires_on_the_databases_clock() -> None:
    key = made(datetime.now(UTC) + timedelta(days=1))
    found = live(key.id)
    assert found is not None
    assert found.expires_in == pytest.approx(DAY, abs=60)
    aged(key.id, "expires_at", DAY + 60)
    assert live(key.id) is None


def test_a_revoked_key_stops_working_and_is_revoked_once() -> None:
    key = made()
    revoked = keys.revoke(key.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert live(key.id) is None
    assert keys.revoke(key.id) is None
    assert keys.revoke(99) is None


def test_after_a_rotation_both_keys_work_until_the_overlap_is_over() -> None:
    old = made()
    new = keys.rotate(old.id, NEXT, DAY)
    assert new is not None
    assert (new.name, new.scopes, new.sandbox, new.client_id) == (old.name, old.scopes, old.sandbox, 1)
    assert new.expires_at is None
    assert live(old.id) is not None
    found = live(new.id)
    assert found is not None
    assert found.digest == NEXT
    aged(old.id, "expires_at", DAY + 1)
    assert live(old.id) is None
    assert live(new.id) is not None


def test_a_rotation_without_overlap_ends_the_old_key_at_once() -> None:
    old = made()
    assert keys.rotate(old.id, NEXT, 0) is not None
    assert live(old.id) is None


def test_a_rotation_never_extends_the_expiry_of_the_old_key() -> None:
    old = made(datetime.now(UTC) + timedelta(hours=1))
    assert keys.rotate(old.id, NEXT, DAY) is not None
    after = keys.one(old.id)
    assert after is not None
    assert after.expires_at == old.expires_at


def test_a_successor_has_the_lifetime_that_the_old_key_had() -> None:
    old = made(datetime.now(UTC) + timedelta(days=30))
    aged(old.id, "created_at", 10 * DAY)
    aged(old.id, "expires_at", 10 * DAY)
    new = keys.rotate(old.id, NEXT, DAY)
    assert new is not None
    assert new.expires_at is not None
    assert new.expires_at - new.created_at == pytest.approx(timedelta(days=30), abs=timedelta(minutes=1))


def test_a_key_with_the_longest_lifetime_can_be_rotated() -> None:
    old = made(datetime(9999, 12, 30, tzinfo=UTC))
    aged(old.id, "created_at", 10 * DAY)
    new = keys.rotate(old.id, NEXT, DAY)
    assert new is not None
    assert new.expires_at == datetime(9999, 12, 31, tzinfo=UTC)


def test_a_revoked_expired_or_rotated_key_is_not_rotated() -> None:
    revoked, expired, rotated = made(), made(datetime.now(UTC) + timedelta(days=1)), made()
    keys.revoke(revoked.id)
    aged(expired.id, "expires_at", 2 * DAY)
    assert keys.rotate(rotated.id, NEXT, DAY) is not None
    assert [keys.rotate(key.id, NEXT, DAY) for key in (revoked, expired, rotated)] == [None] * 3
    assert keys.rotate(99, NEXT, DAY) is None


def test_ten_simultaneous_rotations_rotate_a_key_once() -> None:
    old, barrier = made(), Barrier(10)

    def rotate(_: int) -> Key | None:
        barrier.wait()
        try:
            with connection():
                return keys.rotate(old.id, NEXT, DAY)
        finally:
            database.close()

    with ThreadPoolExecutor(10) as threads:
        successors = [key for key in threads.map(rotate, range(10)) if key]
    after = keys.one(old.id)
    assert after is not None
    assert [key.id for key in successors] == [after.replaced_by]
    assert len(keys.listed(1, 0, 100)) == 2


def test_the_last_use_of_a_key_is_recorded_at_most_once_a_minute() -> None:
    key = made()
    found = live(key.id)
    assert found is not None
    assert found.unnoted
    keys.used(key.id)
    first = keys.one(key.id)
    assert first is not None
    assert first.last_used_at is not None
    keys.used(key.id)
    assert keys.one(key.id) == first
    assert (found := live(key.id)) is not None
    assert not found.unnoted
    aged(key.id, "last_used_at", 61)
    assert (found := live(key.id)) is not None
    assert found.unnoted


def test_the_list_of_a_client_has_its_own_keys_only() -> None:
    shop = clients.create("shop", {})
    assert shop is not None
    mine, others = [made().id for _ in range(3)], made(client=shop.id).id
    assert [key.id for key in keys.listed(1, 0, 100)] == mine
    assert [key.id for key in keys.listed(1, mine[0], 1)] == [mine[1]]
    assert [key.id for key in keys.listed(shop.id, 0, 100)] == [others]


def fill(number: int, client: int = 1) -> None:
    """So many keys of the client that work."""
    rows(
        "INSERT INTO keys (client_id, name, digest, scopes, sandbox)"
        " SELECT %s, 'old', %s, '{send}', false FROM generate_series(1, %s)",
        *(client, DIGEST, number),
    )


def test_the_number_of_working_keys_of_a_client_is_limited() -> None:
    fill(keys.MOST_LIVE - 3)
    revoked, expired, last = made(), made(), made()
    with pytest.raises(keys.TooMany):
        made()
    keys.revoke(revoked.id)
    aged(expired.id, "created_at", DAY)
    rows("UPDATE keys SET expires_at = now() WHERE id = %s", expired.id)
    made()
    assert keys.rotate(last.id, NEXT, DAY) is not None
    with pytest.raises(keys.TooMany):
        made()
    assert clients.create("shop", {}) is not None
    made(client=2)


def test_at_the_limit_of_keys_only_a_rotation_without_overlap_is_possible() -> None:
    fill(keys.MOST_LIVE - 1)
    old = made()
    with pytest.raises(keys.TooMany):
        keys.rotate(old.id, NEXT, DAY)
    assert live(old.id) is not None
    assert keys.rotate(old.id, NEXT, 0) is not None


@pytest.mark.parametrize("rotating", [False, True])
def test_ten_simultaneous_requests_for_the_last_key_create_one(rotating: bool) -> None:
    old, barrier = [made() for _ in range(10)], Barrier(10)
    fill(keys.MOST_LIVE - 11)

    def make(number: int) -> Key | None:
        barrier.wait()
        try:
            with connection():
                return keys.rotate(old[number].id, NEXT, DAY) if rotating else made()
        except keys.TooMany:
            return None
        finally:
            database.close()

    with ThreadPoolExecutor(10) as threads:
        assert len([key for key in threads.map(make, range(10)) if key]) == 1
