"""Clients and keys over the API: valid and invalid fields, answers, and the rights to create keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from api.resources.keys import NO_MORE
from cli.servers.valkey import Valkey
from db import keys
from db.secrets import KeyText
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running
from tests.keys import client, key

_numbers = count(1)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", key_cache=0) as api:
        yield api


@pytest.fixture
def admin(api: Api) -> CheckedClient:
    return coming_in(api, key(api.sql, ["admin"]))


def coming_in(api: Api, with_key: KeyText | str) -> CheckedClient:
    client = api.client
    client.key = str(with_key)
    return client


def name() -> str:
    return f"client {next(_numbers)}"


def without_use(shown: Any) -> Any:
    """A client as it is shown where its limits are not looked at."""
    return {name: value for name, value in shown.items() if name != "limits"}


def patch(asking: CheckedClient, id: int, document: object) -> Any:
    body = json.dumps(document).encode()
    return asking.request("PATCH", f"/api/clients/{id}", body, {"Content-Type": "application/json"})


def test_a_client_is_shown_as_it_was_created(admin: CheckedClient) -> None:
    senders = ["a@shop.example", "@shop.example", "sms:My Shop", "sms:+41791234567", "sms:12345"]
    limits = {"rateLimit": 600, "dailyQuota": 1_000, "pendingLimit": 5, "phoneRegion": "CH", "senders": senders}
    made = admin.post("/api/clients", {"name": name(), **limits})

    assert made.status == 201
    assert made.json.items() >= limits.items()
    assert without_use(admin.get(made.headers["location"]).json) == made.json


def test_a_client_without_limits_has_none(admin: CheckedClient) -> None:
    made = admin.post("/api/clients", {"name": name()}).json

    assert (made["rateLimit"], made["dailyQuota"], made["pendingLimit"], made["senders"]) == (None, None, None, [])


def test_a_client_with_an_existing_name_is_a_409(admin: CheckedClient) -> None:
    assert admin.post("/api/clients", {"name": "default"}).status == 409


def test_fields_that_a_patch_does_not_name_keep_their_values(admin: CheckedClient) -> None:
    made = admin.post("/api/clients", {"name": name(), "rateLimit": 5, "senders": ["@a.example"]}).json
    changed = patch(admin, made["id"], {"rateLimit": None, "dailyQuota": 7})

    assert changed.status == 200
    assert changed.json == {**made, "rateLimit": None, "dailyQuota": 7}
    assert without_use(admin.get(f"/api/clients/{made['id']}").json) == changed.json


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("rateLimit", value) for value in (0, -1, 1.5, "5", True, 2**31)),
        *(("senders", value) for value in (None, "@a.example", [1], [""], ["a"], ["@"], ["a@b@c"], ["@a b"])),
        *(("senders", [f"sms:{sender}"]) for sender in ("", "a\nb", "TwelveLetter", "+41 79 123 45 67", "0791234567")),
        *(("phoneRegion", value) for value in ("", "ch", "XX", "CHE", 41)),
        *(("senders", value) for value in (["@a.example"] * 2, [f"{n}@a.example" for n in range(101)], ["x" * 255])),
        *(("name", value) for value in ("", "x" * 101, "a\nb", 7, None)),
    ],
)
def test_an_invalid_field_of_a_client_is_refused_by_name(admin: CheckedClient, field: str, value: object) -> None:
    answer = admin.post("/api/clients", {"name": name(), field: value})

    assert answer.status == 422
    assert [pointer.split("/")[1] for pointer in faults(answer)] == [field]


def test_invalid_changes_are_refused(admin: CheckedClient) -> None:
    assert faults(patch(admin, 1, {"name": "x", "rateLimit": 0})).keys() == {"/name", "/rateLimit"}
    assert faults(patch(admin, 1, {})) == {"": "must name at least 1 field"}
    assert patch(admin, 999_999, {"rateLimit": 1}).status == 404


@pytest.mark.parametrize("path", ["/api/clients", "/api/clients/{id}/keys"])
def test_a_list_is_paged_oldest_first(api: Api, admin: CheckedClient, path: str) -> None:
    owner = client(api.sql, name())
    made = [key(api.sql, of=owner).id for _ in range(5)]
    if path == "/api/clients":
        made = [client(api.sql, name()) for _ in range(5)]
    seen: list[int] = []
    page: Any = {"nextCursor": "1"}
    while page["nextCursor"] is not None:
        page = admin.get(path.format(id=owner), limit=2, cursor=page["nextCursor"]).json
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]

    assert seen[-5:] == made
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=0", "foo=1", "limit=1&limit=1"]
)
@pytest.mark.parametrize("path", ["/api/clients", "/api/clients/1/keys"])
def test_an_invalid_parameter_is_refused_by_name(admin: CheckedClient, path: str, query: str) -> None:
    answer = admin.get(f"{path}?{query}")

    assert answer.status == 400
    assert list(faults(answer)) == [query.partition("=")[0]]


def test_a_key_is_shown_once_and_works(api: Api, admin: CheckedClient) -> None:
    owner = client(api.sql, name())
    wanted = {"name": "app", "scopes": ["send", "read"], "expiresAt": "2999-01-01T00:00:00Z"}
    answer = admin.post(f"/api/clients/{owner}/keys", wanted)
    made = answer.json

    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    assert made.items() >= {**wanted, "clientId": owner, "sandbox": False}.items()
    assert coming_in(api, made.pop("key")).get(NOTIFICATIONS).status == 200
    shown = admin.get(f"/api/keys/{made['id']}")
    assert shown.json | {"lastUsedAt": None} == made
    assert "key" not in admin.get(f"/api/clients/{owner}/keys").json["items"][0]


def test_key_is_stored_as_its_digest_and_its_secret_is_neither_stored_nor_logged(
    api: Api, admin: CheckedClient
) -> None:
    made = KeyText.parse(admin.post("/api/clients/1/keys", {"name": "app", "scopes": ["read"]}).json["key"])

    assert made is not None
    [(row,)] = api.sql.rows("SELECT keys::text FROM keys WHERE id = %s", made.id)
    assert made.digest.hex() in row
    assert made.secret not in row
    assert made.secret not in api.log


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("scopes", value) for value in ([], ["admin"], ["send", "send"], ["SEND"], "send", None, [None])),
        *(("expiresAt", value) for value in ("2020-01-01T00:00:00Z", "tomorrow", "2999-01-01", 7, None)),
        *(("sandbox", value) for value in (None, "true", 1)),
        *(("name", value) for value in ("", None, "a\tb")),
        ("client", 2),
    ],
)
def test_an_invalid_field_of_a_key_is_refused_by_name(admin: CheckedClient, field: str, value: object) -> None:
    answer = admin.post("/api/clients/1/keys", {"name": "app", "scopes": ["read"], field: value})

    assert answer.status == 422
    assert [pointer.split("/")[1] for pointer in faults(answer)] == [field]


def test_a_key_for_an_unknown_client_is_a_404(admin: CheckedClient) -> None:
    assert admin.post("/api/clients/999999/keys", {"name": "app", "scopes": ["read"]}).status == 404
    assert admin.get("/api/clients/999999/keys").status == 404


def test_a_key_cannot_create_a_key_with_a_scope_that_it_lacks(api: Api) -> None:
    asking = coming_in(api, key(api.sql, ["manage", "read"]))

    assert asking.post("/api/clients/1/keys", {"name": "a", "scopes": ["read", "manage"]}).status == 201
    answer = asking.post("/api/clients/1/keys", {"name": "a", "scopes": ["read", "send"]})
    assert answer.status == 403
    assert "'send'" in answer.json["detail"]


def test_a_key_cannot_gain_a_scope_by_rotation(api: Api) -> None:
    asking = coming_in(api, key(api.sql, ["manage", "read"]))

    assert asking.post(f"/api/keys/{key(api.sql, ['read']).id}/rotate", {}).status == 201
    assert asking.post(f"/api/keys/{key(api.sql, ['send']).id}/rotate", {}).status == 403


@pytest.mark.parametrize("scopes", [["manage", "send", "read"], ["admin", "manage"]])
def test_admin_keys_cannot_be_created_or_rotated_over_http(api: Api, scopes: list[str]) -> None:
    target = key(api.sql, ["admin"])
    asking = coming_in(api, key(api.sql, scopes))

    assert asking.post("/api/clients/1/keys", {"name": "a", "scopes": ["admin"]}).status == 422
    assert asking.post(f"/api/keys/{target.id}/rotate", {}).status == 403


def test_a_manage_key_can_revoke_any_key_of_its_client_but_an_admin_key(api: Api, admin: CheckedClient) -> None:
    manager = coming_in(api, key(api.sql, ["manage"]))
    leaked, chief = key(api.sql, ["send"]), key(api.sql, ["admin"])

    assert manager.request("DELETE", f"/api/keys/{leaked.id}").json["revokedAt"] is not None
    assert manager.request("DELETE", f"/api/keys/{chief.id}").status == 403
    assert admin.request("DELETE", f"/api/keys/{chief.id}").status == 200


def test_revoking_a_key_twice_changes_nothing(api: Api, admin: CheckedClient) -> None:
    path = f"/api/keys/{key(api.sql).id}"

    assert admin.request("DELETE", path).raw == admin.request("DELETE", path).raw
    assert admin.request("DELETE", "/api/keys/999999").status == 404


def test_a_test_key_can_manage_only_test_keys(api: Api) -> None:
    tester = coming_in(api, key(api.sql, ["manage", "send"], sandbox=True))
    real, toy = key(api.sql, ["send"]), key(api.sql, ["send"], sandbox=True)
    wanted = {"name": "a", "scopes": ["send"]}

    assert tester.post("/api/clients/1/keys", wanted).status == 403
    assert tester.post(f"/api/keys/{real.id}/rotate", {}).status == 403
    assert tester.request("DELETE", f"/api/keys/{real.id}").status == 403
    made = tester.post("/api/clients/1/keys", {**wanted, "sandbox": True})
    assert made.json["key"].startswith("ntf_test_")
    assert tester.post(f"/api/keys/{toy.id}/rotate", {}).json["sandbox"] is True


def test_both_keys_work_during_the_overlap_of_a_rotation(api: Api, admin: CheckedClient) -> None:
    old = key(api.sql, ["read"])
    new = admin.post(f"/api/keys/{old.id}/rotate", {"overlap": 3_600}).json

    assert [coming_in(api, text).get(NOTIFICATIONS).status for text in (str(old), new["key"])] == [200, 200]
    before = admin.get(f"/api/keys/{old.id}").json
    assert before["replacedBy"] == new["id"]
    assert before["expiresAt"] is not None


def test_a_rotation_without_overlap_ends_the_old_key(api: Api, admin: CheckedClient) -> None:
    old = key(api.sql, ["read"])
    new = admin.post(f"/api/keys/{old.id}/rotate", {"overlap": 0}).json

    assert [coming_in(api, text).get(NOTIFICATIONS).status for text in (str(old), new["key"])] == [401, 200]


def test_a_rotation_needs_no_body_and_happens_once(api: Api, admin: CheckedClient) -> None:
    path = f"/api/keys/{key(api.sql, ['read']).id}/rotate"

    assert admin.request("POST", path).status == 201
    assert admin.request("POST", path).status == 409
    assert admin.request("POST", "/api/keys/999999/rotate").status == 404


@pytest.mark.parametrize("overlap", [-1, 2_592_001, "1", None, 1.5])
def test_an_invalid_field_of_a_rotation_is_refused_by_name(api: Api, admin: CheckedClient, overlap: object) -> None:
    answer = admin.post(f"/api/keys/{key(api.sql, ['read']).id}/rotate", {"overlap": overlap})

    assert list(faults(answer)) == ["/overlap"]


@pytest.mark.parametrize("id", ["0", "-1", "x", "1e3", "99999999999999999999", "%00", "１"])  # noqa: RUF001 - a digit
@pytest.mark.parametrize("path", ["/api/clients/{}", "/api/clients/{}/keys", "/api/keys/{}"])
def test_invalid_ids_are_answered_with_404(admin: CheckedClient, path: str, id: str) -> None:
    assert admin.get(path.format(quote(id, safe="%"))).status == 404


def test_a_key_beyond_the_limit_of_a_client_is_refused_with_the_fix(api: Api) -> None:
    owner = client(api.sql, name())
    mine = key(api.sql, ["send", "manage"], of=owner)
    api.sql.rows(
        "INSERT INTO keys (client_id, name, digest, scopes, sandbox)"
        " SELECT client_id, 'old', digest, scopes, sandbox FROM keys, generate_series(2, %s) WHERE id = %s"
        " RETURNING id",
        *(keys.MOST_LIVE, mine.id),
    )
    asking = coming_in(api, mine)
    refused = asking.post(f"/api/clients/{owner}/keys", {"name": "one more", "scopes": ["send"]})
    assert (refused.status, refused.json["type"]) == (409, NO_MORE)
    assert "1,000 keys that work" in refused.json["detail"]
    refused = asking.post(f"/api/keys/{mine.id}/rotate", {"overlap": 60})
    assert (refused.status, refused.json["type"]) == (409, NO_MORE)
    assert '"overlap": 0' in refused.json["detail"]
    assert asking.post(f"/api/keys/{mine.id}/rotate", {"overlap": 0}).status == 201


def test_notification_sent_with_a_test_key_is_marked_as_sandbox(api: Api) -> None:
    tester = coming_in(api, key(api.sql, ["send", "read"], sandbox=True, of=client(api.sql, name())))
    made = tester.notify("refused@example.com").json

    assert made["sandbox"] is True
    assert tester.notification(made["id"])["sandbox"] is True
    assert [item["id"] for item in tester.get(NOTIFICATIONS, sandbox="true").json["items"]] == [made["id"]]
    assert tester.get(NOTIFICATIONS, sandbox="false").json["items"] == []


def test_a_client_may_be_limited_to_some_providers_of_a_channel(api: Api, admin: CheckedClient) -> None:
    api.sql.rows(REPORTED)
    lists = {"email": ["first", "second"], "sms": ["texts"]}
    made = admin.post("/api/clients", {"name": name(), "providers": lists})
    assert (made.status, made.json["providers"]) == (201, lists)
    id = made.json["id"]

    assert patch(admin, id, {"providers": {"email": ["second"]}}).json["providers"] == {"email": ["second"]}
    assert patch(admin, id, {"rateLimit": 5}).json["providers"] == {"email": ["second"]}
    assert patch(admin, id, {"providers": None}).json["providers"] is None

    acts = admin.get("/api/audit", limit=3).json["items"]
    assert [act["detail"] for act in acts] == [
        {"providers": None},
        {"rateLimit": 5},
        {"providers": {"email": ["second"]}},
    ]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"email": ["texts"]},
            {"/providers/email/0": "must be the name of a provider of the channel email; there are: "},
        ),
        ({"email": ["first", "nobody"]}, {"/providers/email/1": "must be the name of a provider of the channel email"}),
        ({"chat": ["first"]}, {"/providers/chat": "must be a channel that has providers: email, sms, push"}),
        ({"fax/~": ["first"]}, {"/providers/fax~1~0": "must be a channel that has providers: email, sms, push"}),
        ({"email": []}, {"/providers/email": "must"}),
        ({}, {"/providers": "must"}),
        ({"email": "first"}, {"/providers/email": "must"}),
        (["first"], {"/providers": "must"}),
    ],
)
def test_an_unknown_provider_of_a_client_is_refused_by_name(
    api: Api, admin: CheckedClient, lists: object, expected: dict[str, str]
) -> None:
    api.sql.rows(REPORTED)

    answer = patch(admin, 1, {"providers": lists})

    assert answer.status == 422
    found = faults(answer)
    assert found.keys() == expected.keys()
    assert all(found[pointer].startswith(detail) for pointer, detail in expected.items())


REPORTED = """
INSERT INTO providers (name, config) VALUES ('first', '{"channel": "email"}'), ('second', '{"channel": "email"}'),
    ('texts', '{"channel": "sms"}') ON CONFLICT DO NOTHING; SELECT 1
"""
