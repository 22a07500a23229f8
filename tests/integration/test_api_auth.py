"""Authentication and authorization: every route, every scope, another client's ids, and invalid keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.access.auth import PUBLIC, PUBLIC_BELOW
from api.resources.reports import MEDIA_TYPE
from cli.servers.valkey import Valkey
from db import secrets
from db.secrets import KeyText
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient
from tests.eventually import eventually, outlast
from tests.integration.api import Api, running
from tests.keys import EVERY, client, key

DRAFT = {"type": "email", "recipient": "a@example.com", "message": "Hello"}
# Which of the scopes opens an operation, with a body that it takes.
OPERATIONS: dict[tuple[str, str], tuple[set[str], Any]] = {
    ("POST", NOTIFICATIONS): ({"send"}, DRAFT),
    ("GET", NOTIFICATIONS): ({"read"}, None),
    ("GET", f"{NOTIFICATIONS}/{{id}}"): ({"read"}, None),
    ("GET", f"{NOTIFICATIONS}/{{id}}/attempts"): ({"read"}, None),
    ("GET", f"{NOTIFICATIONS}/{{id}}/attachments/{{number}}"): ({"read"}, None),
    ("PATCH", f"{NOTIFICATIONS}/{{id}}"): ({"manage"}, {"sendAt": None}),
    ("POST", f"{NOTIFICATIONS}/{{id}}/cancel"): ({"manage"}, {}),
    ("POST", f"{NOTIFICATIONS}/{{id}}/retry"): ({"manage"}, {}),
    ("POST", f"{NOTIFICATIONS}/retry"): ({"manage"}, {"filter": {}, "dryRun": True}),
    ("POST", f"{NOTIFICATIONS}/batch"): ({"send"}, {"items": [DRAFT]}),
    ("GET", f"{NOTIFICATIONS}/{{id}}/events"): ({"read"}, None),
    ("GET", "/api/stream"): ({"read"}, None),
    ("GET", "/api/callbacks"): ({"manage"}, None),
    ("POST", "/api/callbacks"): ({"manage"}, {"url": "https://example.com/hook"}),
    ("GET", "/api/callbacks/{id}"): ({"manage"}, None),
    ("PATCH", "/api/callbacks/{id}"): ({"manage"}, {"description": "new"}),
    ("DELETE", "/api/callbacks/{id}"): ({"manage"}, None),
    ("POST", "/api/callbacks/{id}/rotate-secret"): ({"manage"}, None),
    ("GET", "/api/callbacks/{id}/health"): ({"manage"}, None),
    ("POST", "/api/callbacks/{id}/test"): ({"manage"}, None),
    ("POST", "/api/callbacks/{id}/retry"): ({"manage"}, None),
    ("GET", "/api/callbacks/{id}/deliveries"): ({"manage"}, None),
    ("GET", "/api/callbacks/{id}/deliveries/{delivery}"): ({"manage"}, None),
    ("POST", "/api/callbacks/{id}/deliveries/{delivery}/retry"): ({"manage"}, None),
    ("GET", "/api/destinations"): ({"manage"}, None),
    ("POST", "/api/destinations"): ({"manage"}, {"name": "new", "kind": "slack", "url": "https://example.com/hook"}),
    ("GET", "/api/destinations/{name}"): ({"manage"}, None),
    ("PATCH", "/api/destinations/{name}"): ({"manage"}, {"description": "new"}),
    ("DELETE", "/api/destinations/{name}"): ({"manage"}, None),
    ("POST", "/api/destinations/{name}/rotate-secret"): ({"manage"}, None),
    ("GET", "/metrics"): ({"admin"}, None),
    ("GET", "/api/limits"): ({"read"}, None),
    ("GET", "/api/history"): ({"read"}, None),
    ("GET", "/api/pauses"): ({"read"}, None),
    ("PUT", "/api/pauses/client"): ({"manage"}, None),
    ("DELETE", "/api/pauses/client"): ({"manage"}, None),
    ("PUT", "/api/pauses/channels/{channel}"): ({"admin"}, None),
    ("DELETE", "/api/pauses/channels/{channel}"): ({"admin"}, None),
    ("GET", "/api/providers"): ({"admin"}, None),
    ("PATCH", "/api/providers/{provider}"): ({"admin"}, {"weight": 1}),
    ("POST", "/api/clients"): ({"admin"}, {"name": "new"}),
    ("GET", "/api/clients"): ({"admin"}, None),
    ("GET", "/api/clients/{id}"): ({"admin"}, None),
    ("PATCH", "/api/clients/{id}"): ({"admin"}, {"rateLimit": 5}),
    ("POST", "/api/clients/{id}/keys"): ({"admin", "manage"}, {"name": "new", "scopes": ["manage"]}),
    ("GET", "/api/clients/{id}/keys"): ({"admin", "manage"}, None),
    ("GET", "/api/keys/{id}"): ({"admin", "manage"}, None),
    ("DELETE", "/api/keys/{id}"): ({"admin", "manage"}, None),
    ("POST", "/api/keys/{id}/rotate"): ({"admin", "manage"}, {}),
    ("GET", "/api/templates"): ({"read"}, None),
    ("PUT", "/api/templates/{name}"): ({"manage"}, {"subject": "Hi", "text": "Hello"}),
    ("GET", "/api/templates/{name}"): ({"read"}, None),
    ("DELETE", "/api/templates/{name}"): ({"manage"}, None),
    ("POST", "/api/templates/{name}/preview"): ({"read"}, {}),
    ("GET", "/api/templates/{name}/versions"): ({"read"}, None),
    ("GET", "/api/templates/{name}/versions/{version}"): ({"read"}, None),
    ("GET", "/api/suppressions"): ({"read"}, None),
    ("POST", "/api/suppressions"): ({"manage"}, {"address": "gone@example.com"}),
    ("GET", "/api/suppressions/{address}"): ({"read"}, None),
    ("DELETE", "/api/suppressions/{address}"): ({"manage"}, None),
    ("GET", "/api/domains"): ({"read"}, None),
    ("POST", "/api/domains"): ({"manage"}, {"domain": "example.com"}),
    ("GET", "/api/domains/{domain}"): ({"read"}, None),
    ("DELETE", "/api/domains/{domain}"): ({"manage"}, None),
    ("POST", "/api/domains/{domain}/check"): ({"manage"}, None),
    ("POST", "/api/domains/{domain}/rotate"): ({"manage"}, None),
    ("POST", "/api/erasures"): ({"manage"}, {"recipient": "gone@example.com"}),
    ("GET", "/api/erasures/{id}"): ({"manage"}, None),
    ("GET", "/api/export"): (set(), None),  # needs two scopes: see dashboard/test_audit.py
    ("POST", "/api/reports"): ({"send"}, b"Subject: Undelivered"),
    ("GET", "/api/reports"): ({"admin"}, None),
    ("GET", "/api/audit"): ({"admin", "manage"}, None),
}
# In a path, what stands for one thing; an address and a name are each client's own.
NOWHERE = {"{id}": "999999999", "{number}": "1", "{name}": "nowhere", "{address}": "nowhere@example.com"}
NOWHERE["{domain}"] = "nowhere.invalid"
WITH_ID = [(m, path) for m, path in OPERATIONS if any(n in path for n in NOWHERE) and m != "PUT"]
FUZZ = settings(suppress_health_check=list(HealthCheck))
Post = Callable[..., CheckedClient]


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    small: dict[str, Any] = {"key_cache": 0.2, "callback_endpoints": 1000, "stream_seconds": 0.1}
    small["domain_keys_secret"] = "s" * 32
    with running(module_database_url, redis_server.url, auth="required", **small) as api:
        yield api


def coming_in(api: Api, with_key: KeyText | str) -> CheckedClient:
    client = api.client
    client.key = str(with_key)
    return client


def place(api: Api, path: str, owner: int) -> str:  # noqa: C901 - a case for each kind of path
    """The path, to something that this client owns."""
    path = path.replace("{channel}", "email")
    if "{provider}" in path:
        config = '{"weight": 1}'
        api.sql.rows(
            "INSERT INTO providers (name, config) VALUES ('main', %s) ON CONFLICT DO NOTHING RETURNING 1", config
        )
        path = path.replace("{provider}", "main")
    if path.startswith("/api/destinations"):
        api.sql.rows(
            "INSERT INTO destinations (client_id, name, kind, url, secret, description)"
            " VALUES (%s, %s, 'webhook', 'https://example.com/', 'whsec_AAAA', '')"
            " ON CONFLICT DO NOTHING RETURNING name",
            *(owner, f"orders{owner}"),
        )
        return path.replace("{name}", f"orders{owner}")
    if "{name}" in path:
        return template(api, owner, path)
    if "{address}" in path:
        api.sql.rows(
            "INSERT INTO suppressions (client_id, address, reason) VALUES (%s, %s, 'manual')"
            " ON CONFLICT DO NOTHING RETURNING address",
            owner,
            f"gone{owner}@example.com",
        )
        return path.replace("{address}", f"gone{owner}@example.com")
    if "{domain}" in path:
        name = f"client{owner}.invalid"
        api.sql.rows(
            "INSERT INTO domains (client_id, domain) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id", owner, name
        )
        return path.replace("{domain}", name)
    if path.startswith(NOTIFICATIONS):
        [(id,)] = api.sql.rows(
            "INSERT INTO notifications (type, recipient, subject, message, client_id, status, failure_reason,"
            " finished_at, next_attempt_at, dispatch_after) VALUES ('email', 'a@example.com', 'Hi', 'Hello', %s,"
            " CASE WHEN %s THEN 'failed' ELSE 'pending' END, CASE WHEN %s THEN 'rejected' END,"
            " CASE WHEN %s THEN now() END, CASE WHEN NOT %s THEN now() END, CASE WHEN NOT %s THEN now() END)"
            " RETURNING id",
            owner,
            *[path.endswith("/retry")] * 5,
        )
        if "{number}" in path:
            path = path.replace("{number}", attachment(api, id))
    elif path.startswith("/api/clients"):
        id = owner
    elif path.startswith("/api/callbacks"):
        id, delivery = callback(api, owner)
        path = path.replace("{delivery}", str(delivery))
    elif path.startswith("/api/erasures"):
        [(id,)] = api.sql.rows(
            "INSERT INTO erasures (client_id, recipient, last_id, stopped_at, done_at)"
            " VALUES (%s, 'sha256:0', 0, now(), now()) RETURNING id",
            owner,
        )
    else:
        id = key(api.sql, ["manage"], of=owner).id
    return path.replace("{id}", str(id))


def attachment(api: Api, id: int) -> str:
    """The number of a file that this notification has."""
    told = {"filename": "a.txt", "contentType": "text/plain", "contentId": None, "size": 1}
    api.sql.rows(
        "WITH n AS (UPDATE notifications SET mail = %s WHERE id = %s RETURNING id)"
        " INSERT INTO attachments (notification_id, number, content) SELECT id, 1, 'x' FROM n RETURNING number",
        *(json.dumps({"attachments": [told]}), id),
    )
    return "1"


def template(api: Api, owner: int, path: str) -> str:
    """The path, to a template that this client owns."""
    [(name, version)] = api.sql.rows(
        "WITH head AS (INSERT INTO template_names AS n (client_id, name, version, digest)"
        " VALUES (%s, %s, 1, '') ON CONFLICT (client_id, name) DO UPDATE"
        " SET version = n.version + 1, digest = '' RETURNING client_id, name, version)"
        " INSERT INTO templates (client_id, name, version, subject, text)"
        " SELECT client_id, name, version, 'Hi', 'Hello' FROM head RETURNING name, version",
        owner,
        f"welcome{owner}",
    )
    return path.replace("{name}", name).replace("{version}", str(version))


def callback(api: Api, owner: int) -> tuple[int, int]:
    """An endpoint of this client's, and a callback to it that has failed."""
    [(id,)] = api.sql.rows(
        "INSERT INTO callbacks (client_id, url, description, events, secret)"
        " VALUES (%s, 'https://example.com/', '', ARRAY['sent'], 'whsec_AAAA') RETURNING id",
        owner,
    )
    [(delivery,)] = api.sql.rows(
        "INSERT INTO notifications (type, lane, recipient, subject, message, client_id, status, failure_reason,"
        " finished_at, next_attempt_at, dispatch_after, callback_id, subject_id) VALUES ('callback', 'callback', '',"
        " 'notification.sent', '{}', %s, 'failed', 'exhausted', now(), NULL, NULL, %s, 1) RETURNING id",
        owner,
        id,
    )
    return id, delivery


def send(client: CheckedClient, method: str, path: str, document: Any) -> Any:
    if document is None:
        return client.request(method, path)
    if isinstance(document, bytes):
        return client.request(method, path, document, {"Content-Type": MEDIA_TYPE})
    return client.request(method, path, json.dumps(document).encode(), {"Content-Type": "application/json"})


def test_every_operation_is_in_the_matrix_of_scopes(api: Api) -> None:
    documented = {
        (method.upper(), path)
        for path, item in api.contract.document["paths"].items()
        for method in item.keys() - {"parameters"}
        if path not in PUBLIC and not path.startswith(PUBLIC_BELOW)
    }
    assert documented == OPERATIONS.keys()


@pytest.mark.parametrize("scope", EVERY)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_scope_allows_exactly_its_operations(api: Api, method: str, path: str, scope: str) -> None:
    scopes, document = OPERATIONS[method, path]
    if document == {"name": "new"}:
        document = {"name": f"new for {scope}"}
    answer = send(coming_in(api, key(api.sql, [scope])), method, place(api, path, 1), document)

    assert answer.status in ((200, 201, 202, 204) if scope in scopes else (403,))
    if scope not in scopes:
        named = answer.json["detail"].split("'")[1]
        assert named in (scopes or {"manage", "read"})
        assert answer.headers["www-authenticate"].endswith(f'error="insufficient_scope", scope="{named}"')


@pytest.mark.parametrize(("method", "path"), WITH_ID)
def test_another_clients_notification_is_a_404(api: Api, method: str, path: str) -> None:
    other = client(api.sql, f"{method} {path}")
    theirs = place(api, path, other)
    asking = coming_in(api, key(api.sql, ["send", "read", "manage"]))
    scopes, document = OPERATIONS[method, path]
    answer = send(asking, method, theirs, document)

    if scopes == {"admin"}:
        assert answer.status == 403
    else:
        for name, unknown in {**NOWHERE, "{version}": "1", "{delivery}": "1"}.items():
            path = path.replace(name, unknown)
        nowhere = send(asking, method, path, document)
        assert answer.status == nowhere.status == 404
        assert answer.raw == nowhere.raw


def test_a_client_lists_and_shows_its_own_notifications_only(api: Api) -> None:
    one, other = (client(api.sql, name) for name in ("one", "other"))
    first, second = (coming_in(api, key(api.sql, ["send", "read"], of=id)) for id in (one, other))
    mine, theirs = (asking.notify("a@example.com").json["id"] for asking in (first, second))

    assert [item["id"] for item in first.get(NOTIFICATIONS).json["items"]] == [mine]
    assert [item["id"] for item in second.get(NOTIFICATIONS).json["items"]] == [theirs]
    for query in ({"recipient": "a@example.com"}, {"status": "pending"}):
        assert [item["id"] for item in first.get(NOTIFICATIONS, **query).json["items"]] == [mine]
    assert first.get(f"{NOTIFICATIONS}/{theirs}").status == 404
    assert first.get(f"{NOTIFICATIONS}/{theirs}", wait=1).status == 404


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_health_checks_and_the_openapi_document_need_no_key(api: Api, path: str) -> None:
    assert api.client.get(path).status == 200


@pytest.mark.parametrize("path", ["/api", "/nowhere", "/healthz/", "/healthz/x", "/readyz%2f"])
def test_path_that_is_not_a_public_one_needs_a_key(api: Api, path: str) -> None:
    assert api.client.get(path).status == 401


def refused(api: Api) -> dict[str, str]:
    """Headers that are all refused, and for what reason."""
    right = str(key(api.sql))
    revoked, expired = key(api.sql), key(api.sql, expires_in=-1)
    api.sql.rows("UPDATE keys SET revoked_at = now() WHERE id = %s RETURNING id", revoked.id)
    return {
        "nothing": "",
        "no scheme": right,
        "another scheme": f"Basic {right}",
        "no key": "Bearer",
        "no key but space": "Bearer  ",
        "two keys": f"Bearer {right} {right}",
        "a list": f"Bearer {right}, Bearer {right}",
        "quoted": f'Bearer "{right}"',
        "malformed": "Bearer secret",
        "unknown": f"Bearer {KeyText(999_999, False, secrets.new())}",
        "beyond bigint": f"Bearer ntf_live_{10**18}_{secrets.new()}",
        "another's secret": f"Bearer {key(api.sql)._replace(secret=secrets.new())}",
        "for the sandbox": f"Bearer {key(api.sql)._replace(sandbox=True)}",
        "revoked": f"Bearer {revoked}",
        "expired": f"Bearer {expired}",
        "huge": f"Bearer {'x' * 7_000}",
    }


def test_every_unusable_key_gets_the_same_answer(api: Api) -> None:
    seen = set()
    for why, header in refused(api).items():
        answer = api.client.request("GET", NOTIFICATIONS, headers={"Authorization": header} if header else None)
        assert answer.status == 401, why
        seen.add((answer.raw, answer.headers["www-authenticate"]))

    assert len(seen) == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_bearer_matches_in_any_case(api: Api, scheme: str) -> None:
    given = {"Authorization": f"{scheme} {key(api.sql)}"}

    assert api.client.request("GET", NOTIFICATIONS, headers=given).status == 200


@FUZZ
@given(
    header=st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=200)
    | st.builds("Bearer {}".format, st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=100))
    | st.builds("Bearer ntf_{}_{}_{}".format, st.sampled_from(["live", "test"]), st.integers(), st.text("aA0_-"))
)
def test_a_malformed_authorization_header_is_a_401(api: Api, header: str) -> None:
    given = header.replace("\x7f", "").encode("latin-1").decode("latin-1").strip()

    assert api.client.request("GET", NOTIFICATIONS, headers={"Authorization": given}).status in (400, 401)


def test_a_request_without_a_key_stores_nothing_and_is_not_read(api: Api) -> None:
    before = api.sql.rows("SELECT count(*) FROM notifications")

    assert api.client.notify("a@example.com").status == 401
    assert api.client.request("POST", NOTIFICATIONS, b"{" * 10_000).status == 401
    assert api.sql.rows("SELECT count(*) FROM notifications") == before


def test_a_key_works_until_it_expires(api: Api) -> None:
    asking = coming_in(api, key(api.sql, expires_in=2))

    assert asking.get(NOTIFICATIONS).status == 200
    eventually(lambda: asking.get(NOTIFICATIONS).status == 401)


def test_the_last_use_of_a_key_is_recorded_after_the_answer(api: Api) -> None:
    used, unused = key(api.sql), key(api.sql)
    coming_in(api, used).get(NOTIFICATIONS)
    coming_in(api, unused._replace(secret=secrets.new())).get(NOTIFICATIONS)
    noted = "SELECT last_used_at FROM keys WHERE id = %s"

    eventually(lambda: api.sql.rows(noted, used.id)[0][0] is not None)
    assert api.sql.rows(noted, unused.id)[0][0] is None


def test_a_revoked_key_is_refused_by_every_process_within_a_second(
    module_database_url: str, redis_server: Valkey, api: Api
) -> None:
    """With the longest cache that there may be, in two processes that have both just used it."""
    with (
        running(module_database_url, redis_server.url, auth="required", key_cache=1) as one,
        running(module_database_url, redis_server.url, auth="required", key_cache=1) as other,
    ):
        doomed = key(api.sql)
        clients = [coming_in(one, doomed), coming_in(other, doomed)]
        assert [client.get(NOTIFICATIONS).status for client in clients] == [200, 200]
        assert coming_in(one, key(api.sql)).request("DELETE", f"/api/keys/{doomed.id}").status == 200
        outlast(1.0)
        assert [client.get(NOTIFICATIONS).status for client in clients] == [401, 401]


def test_a_revoked_key_is_refused_within_a_second_under_load(api: Api) -> None:
    """Those who ask all the time do not keep it alive."""
    doomed = key(api.sql)

    def statuses(_: int) -> int:
        with coming_in(api, doomed) as asking:
            while (answer := asking.get(NOTIFICATIONS)).status == 200 and not over:
                pass
            return answer.status

    over: list[bool] = []
    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(statuses, n) for n in range(4)]
        api.sql.rows("UPDATE keys SET revoked_at = now() WHERE id = %s RETURNING id", doomed.id)
        outlast(1.0)
        over.append(True)
        assert [one.result(60) for one in asking] == [401] * 4


def test_the_log_names_the_client_and_the_key_but_never_its_secret(api: Api) -> None:
    used = key(api.sql)
    id = coming_in(api, used).notify("a@example.com").json["id"]

    [line] = eventually(lambda: [e for e in api.events if f'"id":{id},' in e and "accepted" in e])
    assert '"client":1' in line
    assert f'"key":{used.id}' in line
    assert used.secret not in api.log


def test_a_key_that_cannot_be_looked_up_is_a_503_and_not_a_401(module_database_url: str, redis_server: Valkey) -> None:
    impatient: dict[str, Any] = {"key_cache": 0.2, "db_statement_timeout": 0.2}
    with running(module_database_url, redis_server.url, auth="required", **impatient) as api:
        known, new = (coming_in(api, key(api.sql)) for _ in range(2))
        assert known.get(NOTIFICATIONS).status == 200
        with closing(psycopg2.connect(module_database_url)) as holder, holder.cursor() as cursor:
            cursor.execute("LOCK TABLE keys IN ACCESS EXCLUSIVE MODE")
            eventually(lambda: known.get(NOTIFICATIONS).status == 503)
            answers = [known.get(NOTIFICATIONS), new.get(NOTIFICATIONS), new.notify("a@example.com")]
            assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 3
            assert api.client.get(NOTIFICATIONS).status == 401
            assert api.client.get("/healthz").status == 200
        eventually(lambda: known.get(NOTIFICATIONS).status == 200)
