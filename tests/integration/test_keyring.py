"""The cache of keys in an API process: short-lived, shared, bounded, and compared in constant time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from api.access import keyring
from api.access.keyring import Keyring
from db import keys, secrets
from db.coalesce import Full
from db.database import Unavailable, rows
from db.keys import Grant, Live
from db.secrets import KeyText
from settings import Settings
from tests.environment import configured


@pytest.fixture(autouse=True)
def asked(store: Settings, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids that the database is asked for, by statement."""
    rows("TRUNCATE keys RESTART IDENTITY")
    statements: list[list[int]] = []
    live = keys.live

    def noted(ids: Sequence[int]) -> dict[int, Live]:
        statements.append(list(ids))
        return live(ids)

    monkeypatch.setattr(keys, "live", noted)
    return statements


@pytest.fixture
def known_keys(store: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    monkeypatch.setattr("api.access.keyring.CACHED", 3)
    with configured(database_url=store.database.url, key_cache=1) as current:
        known_keys = Keyring(current)
        yield known_keys
        known_keys.close(10)


def made(sandbox: bool = False) -> KeyText:
    secret = secrets.new()
    key = keys.create(1, secrets.digest(secret), Grant("app", ("send",), sandbox))
    assert key is not None
    return KeyText(key.id, sandbox, secret)


def found(known_keys: Keyring, *wanted: KeyText) -> list[Live | None]:
    """These, all asked for at the same time."""

    async def ask() -> list[Live | None]:
        return await asyncio.gather(*map(known_keys.live, wanted))

    return asyncio.run(ask())


def test_a_cached_key_costs_no_statement(known_keys: Keyring, asked: list[list[int]]) -> None:
    key = made()
    assert all(found(known_keys, key) != [None] for _ in range(50))
    assert asked == [[key.id]]


def test_simultaneous_lookups_of_one_key_share_one_query(known_keys: Keyring, asked: list[list[int]]) -> None:
    key = made()
    assert None not in found(known_keys, *[key] * 50)
    assert asked == [[key.id]]


def test_an_unknown_key_is_cached_too(known_keys: Keyring, asked: list[list[int]]) -> None:
    stranger = KeyText(77, False, secrets.new())
    assert [found(known_keys, stranger) for _ in range(5)] == [[None]] * 5
    assert asked == [[77]]


def test_a_wrong_secret_costs_no_statement_and_evicts_no_key(known_keys: Keyring, asked: list[list[int]]) -> None:
    key = made()
    assert found(known_keys, key) != [None]
    assert found(known_keys, *(key._replace(secret=secrets.new()) for _ in range(20))) == [None] * 20
    assert found(known_keys, key) != [None]
    assert asked == [[key.id]]


def test_a_live_key_is_not_the_test_key_of_the_same_number(known_keys: Keyring) -> None:
    assert found(known_keys, made(sandbox=True)._replace(sandbox=False)) == [None]
    assert found(known_keys, made()._replace(sandbox=True)) == [None]


def test_made_up_keys_evict_no_valid_key_from_the_cache(known_keys: Keyring, asked: list[list[int]]) -> None:
    key = made()
    found(known_keys, key)
    found(known_keys, *(KeyText(1_000 + n, False, secrets.new()) for n in range(50)))
    asked.clear()
    assert found(known_keys, key) != [None]
    assert asked == []
    assert len(known_keys._fails) <= 3


def test_the_number_of_cached_keys_is_bounded_by_the_setting(known_keys: Keyring) -> None:
    assert None not in found(known_keys, *(made() for _ in range(10)))
    assert len(known_keys._works) == 3


def test_secrets_are_compared_in_constant_time(known_keys: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    key = made()
    monkeypatch.setattr(keyring, "compare_digest", compare)
    assert found(known_keys, key) == [None]
    assert compared == [(key.digest, key.digest)]


def test_a_key_is_not_cached_beyond_its_expiry(known_keys: Keyring) -> None:
    key = made()
    rows("UPDATE keys SET expires_at = now() + interval '0.2 seconds' WHERE id = %s", key.id)

    async def until_it_expires() -> None:
        assert await known_keys.live(key)
        async with asyncio.timeout(0.9):  # less than it would be kept for
            while await known_keys.live(key):
                await asyncio.sleep(0.01)

    asyncio.run(until_it_expires())


def test_an_outage_is_raised_to_all_waiting_lookups_and_not_cached(
    known_keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = made()

    def away(_: object) -> dict[int, Live]:
        raise Unavailable("away")

    with monkeypatch.context() as outage:
        outage.setattr(keys, "live", away)
        with pytest.raises(Unavailable):
            found(known_keys, key, key)
    assert found(known_keys, key) != [None]


def test_a_cancelled_lookup_does_not_cancel_the_one_that_shares_it(known_keys: Keyring) -> None:
    key = made()

    async def ask() -> Live | None:
        first, second = asyncio.create_task(known_keys.live(key)), asyncio.create_task(known_keys.live(key))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(ask())


def test_the_number_of_waiting_lookups_is_bounded(store: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.keyring.WAITING", 1)
    with configured(database_url=store.database.url) as current:
        known_keys = Keyring(current)

    async def flood() -> list[Live | BaseException | None]:
        strangers = (KeyText(1_000 + n, False, secrets.new()) for n in range(200))
        return await asyncio.gather(*map(known_keys.live, strangers), return_exceptions=True)

    answers = asyncio.run(flood())
    assert {type(answer) for answer in answers} == {type(None), Full}
    known_keys.close(10)
