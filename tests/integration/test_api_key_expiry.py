"""A key cannot create or rotate a key so that it outlives itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from db.secrets import KeyText
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running
from tests.keys import EVERY, client, key

HOUR, DAY = 3_600.0, 86_400.0
WITHOUT_ADMIN = ["send", "read", "manage"]


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as api:
        yield api


def asking(api: Api, with_key: KeyText) -> CheckedClient:
    fresh = api.client
    fresh.key = str(with_key)
    return fresh


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def end(found: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(found["expiresAt"])


@pytest.mark.parametrize("scopes", [EVERY, WITHOUT_ADMIN])
@pytest.mark.parametrize("wanted", [None, HOUR / 2])
def test_a_new_key_expires_no_later_than_the_key_that_creates_it(
    api: Api, scopes: list[str], wanted: float | None
) -> None:
    owner = client(api.sql, f"maker {scopes} {wanted}")
    maker = key(api.sql, scopes, of=owner, expires_in=HOUR)
    asked = {"name": "app", "scopes": ["send"]} | ({"expiresAt": in_seconds(wanted)} if wanted else {})
    made = asking(api, maker).post(f"/api/clients/{owner}/keys", asked)
    assert made.status == 201
    assert end(made.json) <= datetime.now(UTC) + timedelta(seconds=wanted or HOUR)


def test_a_new_key_that_would_outlive_its_creator_is_refused(api: Api) -> None:
    maker = key(api.sql, expires_in=HOUR)
    asked = {"name": "app", "scopes": ["send"], "expiresAt": in_seconds(DAY)}
    refused = asking(api, maker).post("/api/clients/1/keys", asked)
    assert refused.status == 422
    assert "when the key of this request expires" in faults(refused)["/expiresAt"]


def test_a_key_without_an_expiry_can_create_keys_with_any_expiry(api: Api) -> None:
    maker = asking(api, key(api.sql))
    assert maker.post("/api/clients/1/keys", {"name": "a", "scopes": ["send"]}).json["expiresAt"] is None
    later = maker.post("/api/clients/1/keys", {"name": "a", "scopes": ["send"], "expiresAt": in_seconds(DAY)})
    assert later.status == 201


def test_a_key_keeps_its_expiry_over_repeated_rotations_by_itself(api: Api) -> None:
    first = key(api.sql, WITHOUT_ADMIN, expires_in=HOUR)
    api.sql.rows("UPDATE keys SET created_at = now() - interval '1 year' WHERE id = %s RETURNING id", first.id)
    last = asking(api, first).get(f"/api/keys/{first.id}").json["expiresAt"]
    current = first
    for _ in range(2):
        rotated = asking(api, current).post(f"/api/keys/{current.id}/rotate", {"overlap": 60})
        assert (rotated.status, rotated.json["expiresAt"]) == (201, last)
        parsed = KeyText.parse(rotated.json["key"])
        assert parsed is not None
        current = parsed


def test_a_rotated_key_creates_no_key_that_outlives_its_overlap(api: Api) -> None:
    maker = key(api.sql, WITHOUT_ADMIN)
    assert asking(api, maker).post(f"/api/keys/{maker.id}/rotate", {"overlap": 600}).status == 201
    made = asking(api, maker).post("/api/clients/1/keys", {"name": "late", "scopes": ["send"]})
    assert end(made.json) <= datetime.now(UTC) + timedelta(seconds=600)


@pytest.mark.parametrize("lasting", [None, DAY])
def test_another_key_that_expires_later_cannot_be_rotated(api: Api, lasting: float | None) -> None:
    other = key(api.sql, WITHOUT_ADMIN, expires_in=lasting)
    refused = asking(api, key(api.sql, expires_in=HOUR)).post(f"/api/keys/{other.id}/rotate", {})
    assert refused.status == 403
    assert "rotate with one that lasts longer" in refused.json["detail"]
    assert asking(api, key(api.sql)).post(f"/api/keys/{other.id}/rotate", {}).status == 201


def test_another_key_with_an_earlier_expiry_can_be_rotated(api: Api) -> None:
    other = key(api.sql, WITHOUT_ADMIN, expires_in=60)
    rotated = asking(api, key(api.sql, expires_in=HOUR)).post(f"/api/keys/{other.id}/rotate", {})
    assert end(rotated.json) <= datetime.now(UTC) + timedelta(seconds=60)
