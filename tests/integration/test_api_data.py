"""/api/erasures, /api/export and /api/audit, over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from db.secrets import KeyText
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running
from tests.keys import client, key

ERASURES, EXPORT, AUDIT = "/api/erasures", "/api/export", "/api/audit"
_numbers = count(1)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    settings: dict[str, Any] = {"auth": "required", "key_cache": 0, "erasure_batch": 2}
    with running(module_database_url, redis_server.url, **settings) as api:
        yield api


@pytest.fixture
def shop(api: Api) -> CheckedClient:
    """A client of the test's own, with a key for everything but admin."""
    return coming_in(api, key(api.sql, ["send", "read", "manage"], of=client(api.sql, f"shop {next(_numbers)}")))


def coming_in(api: Api, with_key: KeyText) -> CheckedClient:
    client = api.client
    client.key = str(with_key)
    return client


def lines(answer: Response) -> list[Any]:
    return [json.loads(line) for line in answer.raw.decode().splitlines()]


def erase(asking: CheckedClient, recipient: str = "ann@example.com") -> Response:
    return asking.post(ERASURES, {"recipient": recipient})


# erasures


def test_an_erasure_cancels_erases_and_reports_its_counts(api: Api, shop: CheckedClient) -> None:
    ids = [shop.notify(to).json["id"] for to in ("ann@example.com", "Ann@EXAMPLE.com", "bob@example.com")]
    answer = erase(shop, "ANN@example.com")
    assert (answer.status, answer.json["status"], answer.json["left"]) == (200, "done", 0)
    assert (answer.json["cancelled"], answer.json["erased"]) == (2, 2)
    assert shop.get(answer.headers["location"]).json == answer.json
    first, second, other = (shop.notification(id) for id in ids)
    for one in (first, second):
        assert (one["status"], one["recipient"], one["message"]) == ("cancelled", "", "")
        assert one["erasedAt"] is not None
    assert (other["status"], other["recipient"], other["erasedAt"]) == ("pending", "bob@example.com", None)
    assert [item["erasedAt"] is None for item in shop.get(NOTIFICATIONS).json["items"]] == [True, False, False]
    assert shop.get(NOTIFICATIONS, recipient="ann@example.com").json["items"] == []
    assert "ann@" not in api.log.lower()
    [_, cancelled] = shop.get(f"{NOTIFICATIONS}/{ids[0]}/events").json["items"]
    assert (cancelled["event"], cancelled["detail"]) == ("cancelled", {"keyId": int(shop.key.split("_")[2])})


def test_erasure_leaves_a_notification_that_is_being_sent_to_the_workers(api: Api, shop: CheckedClient) -> None:
    id = shop.notify("ann@example.com").json["id"]
    api.sql.rows(
        "UPDATE notifications SET status = 'processing', claimed_at = now(), claimed_by = gen_random_uuid(), claim = 1,"
        " next_attempt_at = NULL, dispatch_after = NULL WHERE id = %s RETURNING id",
        id,
    )
    answer = erase(shop)
    assert (answer.status, answer.json["status"], answer.json["left"]) == (202, "erasing", 1)
    assert erase(shop).json["id"] == answer.json["id"]
    api.sql.rows(
        "UPDATE notifications SET status = 'sent', claimed_at = NULL, claimed_by = NULL, finished_at = now()"
        " WHERE id = %s RETURNING id",
        id,
    )
    assert (erase(shop).status, shop.notification(id)["recipient"]) == (200, "")


def test_erased_notification_cannot_be_retried_cancelled_or_rescheduled(shop: CheckedClient) -> None:
    id = shop.notify("ann@example.com").json["id"]
    erase(shop)
    for answer in (
        shop.post(f"{NOTIFICATIONS}/{id}/retry", {}),
        shop.post(f"{NOTIFICATIONS}/{id}/cancel", {}),
        shop.send("PATCH", f"{NOTIFICATIONS}/{id}", {"sendAt": None}),
    ):
        assert answer.status == 409
        assert "erased" in answer.json["detail"]


def test_a_repeated_post_after_an_erasure_is_refused_and_sends_nothing(shop: CheckedClient) -> None:
    draft = {"type": "email", "recipient": "ann@example.com", "message": "Hello"}
    first = shop.post(NOTIFICATIONS, draft, **{"Idempotency-Key": "k"})
    erase(shop)
    again = shop.post(NOTIFICATIONS, draft, **{"Idempotency-Key": "k"})
    assert (first.status, again.status) == (201, 422)
    assert "deleted" in again.json["errors"][0]["detail"]


def test_an_erased_recipient_stays_suppressed_under_a_digest(shop: CheckedClient) -> None:
    shop.post("/api/suppressions", {"address": "ann@example.com", "reason": "unsubscribed"})
    erase(shop)
    [entry] = shop.get("/api/suppressions").json["items"]
    assert entry["address"].startswith("sha256:")
    assert shop.get("/api/suppressions/Ann@example.com").json == entry
    assert shop.get(f"/api/suppressions/{entry['address']}").json == entry
    assert shop.notify("ann@example.com").json["failureReason"] == "suppressed"
    assert shop.request("DELETE", f"/api/suppressions/{entry['address']}").status == 204
    assert shop.notify("ann@example.com").json["status"] == "pending"


@pytest.mark.parametrize(
    "document", [{}, {"recipient": "nobody"}, {"recipient": None}, {"recipient": "a@b.de", "x": 1}, []]
)
def test_an_erasure_without_an_address_is_refused(shop: CheckedClient, document: object) -> None:
    id = shop.notify("ann@example.com").json["id"]
    answer = shop.post(ERASURES, document)
    assert answer.status == 422
    assert faults(answer)
    assert shop.notification(id)["recipient"] == "ann@example.com"


def test_a_test_key_cannot_erase(api: Api) -> None:
    assert erase(coming_in(api, key(api.sql, ["manage"], sandbox=True))).status == 403


def test_an_erasure_of_another_client_is_not_visible(api: Api, shop: CheckedClient) -> None:
    id = erase(shop).json["id"]
    other = coming_in(api, key(api.sql, ["manage"], of=client(api.sql, f"other {next(_numbers)}")))
    assert other.get(f"{ERASURES}/{id}").status == 404
    assert erase(other).json["id"] != id


# export


def test_an_export_contains_all_data_of_the_client_and_no_secret(api: Api, shop: CheckedClient) -> None:
    shop.send("PUT", "/api/templates/welcome", {"subject": "Hi", "text": "Hello"})
    shop.send("PUT", "/api/templates/welcome", {"subject": "Hi", "text": "Hello again"})
    secret = shop.post("/api/callbacks", {"url": "https://example.com/hook"}).json["secret"]
    for n in range(5):
        shop.post("/api/suppressions", {"address": f"s{n}@example.com"})
    ids = [shop.notify(f"n{n}@example.com", tags=["a"]).json["id"] for n in range(5)]
    shop.post(f"{NOTIFICATIONS}/{ids[0]}/cancel", {})
    answer = shop.get(EXPORT)
    *found, end = lines(answer)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert end == {"kind": "end", "count": len(found)}
    kinds = [line["kind"] for line in found]
    # Two of templates, one of the endpoint, five of suppressions, and the export itself comes after the first page.
    assert [kinds.count(k) for k in ("client", "key", "callback", "suppression", "template")] == [1, 1, 1, 5, 2]
    sent = [line["data"] for line in found if line["kind"] == "notification"]
    assert [one["id"] for one in sent] == ids
    assert [event["event"] for event in sent[0]["events"]] == ["accepted", "cancelled"]
    assert sent[0].keys() == shop.notification(ids[0]).keys() | {"attempts", "events"}
    audited = [line["data"]["act"] for line in found if line["kind"] == "audit"]
    assert audited == ["template.stored"] * 2 + ["callback.created"] + ["suppression.added"] * 5 + ["export.begun"]
    assert secret not in answer.raw.decode()
    assert shop.key.split("_", 3)[3] not in answer.raw.decode()


def test_an_export_continues_after_the_cursor_of_any_line(shop: CheckedClient) -> None:
    for n in range(5):
        shop.notify(f"n{n}@example.com")
        shop.post("/api/suppressions", {"address": f"s{n}@example.com"})
    whole = [line for line in lines(shop.get(EXPORT)) if line["kind"] != "audit"]
    for place, line in enumerate(whole[:-1]):
        rest = [line for line in lines(shop.get(EXPORT, after=line["cursor"])) if line["kind"] != "audit"]
        assert rest[:-1] == whole[place + 1 : -1]


def test_an_export_of_a_recipient_contains_only_data_about_them(shop: CheckedClient) -> None:
    mine = [shop.notify("ann@example.com").json["id"], shop.notify("Ann@Example.com").json["id"]]
    shop.notify("bob@example.com")
    mine.append(shop.notify("bob@example.com", cc=["ann@example.com"]).json["id"])
    shop.post("/api/suppressions", {"address": "ann@example.com"})
    shop.post("/api/suppressions", {"address": "bob@example.com"})
    *found, end = lines(shop.get(EXPORT, recipient="ANN@example.com"))
    assert [line["data"]["address"] for line in found if line["kind"] == "suppression"] == ["ann@example.com"]
    assert [line["data"]["id"] for line in found if line["kind"] == "notification"] == mine
    assert end["count"] == 4


def test_an_export_holds_what_reports_say_about_a_notification(api: Api, shop: CheckedClient) -> None:
    id = shop.notify("ann@example.com").json["id"]
    other = coming_in(api, key(api.sql, ["send", "read", "manage"], of=client(api.sql, f"other {next(_numbers)}")))
    other.notify("ann@example.com")
    api.sql.rows(
        "UPDATE notifications SET status = 'sent', finished_at = now(), next_attempt_at = NULL,"
        " dispatch_after = NULL, delivery_status = 'bounced' WHERE id = %s RETURNING 1",
        id,
    )
    api.sql.rows(
        "INSERT INTO evidence (notification_id, digest, client_id, report_id, source, kind, about_copy, recipient,"
        " bounce_class, code, text, state, applied_at) SELECT id, '', client_id, 7, 'smtp', 'bounced', false,"
        " 'ann@example.com', 'hard', '5.1.1', 'no such user', 'applied', now() FROM notifications WHERE id = %s"
        " RETURNING 1",
        id,
    )
    for query in ({}, {"recipient": "ann@example.com"}):
        [data] = [line["data"] for line in lines(shop.get(EXPORT, **query)) if line["kind"] == "notification"]
        assert data["deliveryStatus"] == "bounced"
        told = data["deliveryEvidence"]
        assert (told["recipient"], told["text"], told["source"]) == ("ann@example.com", "no such user", "smtp")
        [event] = [event for event in data["events"] if event["event"] == "bounced"]
        assert "no such user" in str(event)
        assert b"no such user" not in other.get(EXPORT, **query).raw


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/x-ndjson"),
        ("application/json", "application/x-ndjson"),
        ("application/x-ndjson, text/plain;q=0.5", "application/x-ndjson"),
        ("text/plain", "text/plain; charset=utf-8"),
    ],
)
def test_an_export_is_plain_text_for_a_client_that_prefers_it(shop: CheckedClient, accept: str, media: str) -> None:
    shop.notify("ann@example.com")
    answer = shop.request("GET", EXPORT, headers={"Accept": accept})

    assert answer.headers["content-type"] == media
    assert lines(answer)[-1]["kind"] == "end"


def test_an_export_contains_attachments_on_request(shop: CheckedClient) -> None:
    file = {"filename": "a.txt", "contentType": "text/plain", "content": base64.b64encode(b"hello").decode()}
    for _ in range(2):
        shop.notify("ann@example.com", attachments=[file])
    for asked in ("true", "false"):
        *found, _ = lines(shop.get(EXPORT, attachments=asked, recipient="ann@example.com"))
        assert [line["data"]["attachments"][0].get("content") for line in found] == [
            file["content"] if asked == "true" else None
        ] * 2


def test_the_export_of_a_client_contains_no_data_of_another(api: Api, shop: CheckedClient) -> None:
    other = coming_in(api, key(api.sql, ["send", "manage", "read"], of=client(api.sql, f"other {next(_numbers)}")))
    other.notify("theirs@example.com")
    other.post("/api/suppressions", {"address": "theirs@example.com"})
    assert b"theirs@" not in shop.get(EXPORT).raw


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"after": "x"}, "after"),
        ({"after": "bm90aWZpY2F0aW9uIHggeQ"}, "after"),  # "notification x y"
        ({"after": "Y2xpZW50IA"}, "after"),
        ({"recipient": "nobody"}, "recipient"),
        ({"attachments": "yes"}, "attachments"),
        ({"limit": "1"}, "limit"),
    ],
)
def test_an_export_with_an_invalid_parameter_is_refused(shop: CheckedClient, query: dict[str, str], wrong: str) -> None:
    answer = shop.get(EXPORT, **query)
    assert (answer.status, [error["parameter"] for error in answer.json["errors"]]) == (400, [wrong])


# audit


def test_each_act_is_recorded_with_its_key_address_and_request_id(api: Api, shop: CheckedClient) -> None:
    id = int(shop.key.split("_")[2])
    made = shop.request("PUT", "/api/pauses/client", headers={"X-Request-ID": "r-1"})
    assert made.status == 200
    [record] = shop.get(AUDIT, act="pause.began").json["items"]
    assert (record["actor"], record["keyId"], record["requestId"]) == ("key", id, "r-1")
    assert (record["address"], record["outcome"], record["name"]) == ("127.0.0.1", "done", None)
    assert record["target"] == f"client {record['clientId']}"


def test_the_audit_log_has_every_successful_act_in_order_and_no_refused_one(api: Api, shop: CheckedClient) -> None:
    number = int(shop.key.split("_")[2])
    [(owner,)] = api.sql.rows("SELECT client_id FROM keys WHERE id = %s", number)
    made = shop.post(f"/api/clients/{owner}/keys", {"name": "two", "scopes": ["send"]}).json["id"]
    assert shop.post(f"/api/clients/{owner}/keys", {"name": "no", "scopes": ["admin"]}).status in (403, 422)
    shop.post(f"/api/keys/{made}/rotate", {})
    shop.request("DELETE", f"/api/keys/{made}")
    shop.request("DELETE", f"/api/keys/{made}")
    shop.send("PUT", "/api/templates/t", {"subject": "Hi", "text": "Hello"})
    shop.send("PUT", "/api/templates/t", {"subject": "Hi", "text": "Hello"})
    shop.request("DELETE", "/api/templates/t")
    shop.request("DELETE", "/api/templates/t")
    hook = shop.post("/api/callbacks", {"url": "https://example.com/?token=hidden"}).json["id"]
    shop.send("PATCH", f"/api/callbacks/{hook}", {"description": "new"})
    shop.request("POST", f"/api/callbacks/{hook}/rotate-secret")
    shop.request("DELETE", f"/api/callbacks/{hook}")
    shop.post("/api/suppressions", {"address": "ann@example.com"})
    shop.request("DELETE", "/api/suppressions/ann@example.com")
    shop.request("DELETE", "/api/suppressions/ann@example.com")
    shop.request("PUT", "/api/pauses/client")
    shop.request("DELETE", "/api/pauses/client")
    shop.post(f"{NOTIFICATIONS}/retry", {"filter": {}})
    erase(shop)
    answer = shop.get(AUDIT)
    assert [record["act"] for record in answer.json["items"]][::-1] == [
        *("key.created", "key.rotated", "key.revoked", "template.stored", "template.deleted"),
        *("callback.created", "callback.changed", "callback.rotated", "callback.deleted"),
        *("suppression.added", "suppression.removed", "pause.began", "pause.ended"),
        *("erasure.requested", "erasure.done"),
    ]
    for hidden in (b"ann@example.com", b"hidden", b"example.com"):
        assert hidden not in answer.raw


def test_act_of_an_admin_is_recorded_for_the_client_it_concerns(api: Api, shop: CheckedClient) -> None:
    admin = coming_in(api, key(api.sql, ["admin"]))
    made = admin.post("/api/clients", {"name": f"made {next(_numbers)}"}).json["id"]
    changed = admin.send(
        "PATCH", f"/api/clients/{made}", {"rateLimit": 5, "senders": ["@example.com"], "disabled": True}
    )
    assert changed.status == 200
    found = [r for r in admin.get(AUDIT).json["items"] if r["clientId"] == made]
    assert (found[0]["act"], found[0]["detail"]) == (
        "client.changed",
        {"rateLimit": 5, "senders": 1, "disabled": True},
    )
    assert found[1]["act"] == "client.created"
    assert shop.get(AUDIT).json["items"] == []


def test_a_bulk_retry_is_one_audit_record_and_a_single_retry_is_an_event(api: Api, shop: CheckedClient) -> None:
    ids = [shop.notify("ann@example.com").json["id"] for _ in range(3)]
    api.sql.rows(
        "UPDATE notifications SET status = 'failed', failure_reason = 'rejected', finished_at = now(),"
        " next_attempt_at = NULL, dispatch_after = NULL WHERE id = ANY(%s) RETURNING id",
        ids,
    )
    shop.post(f"{NOTIFICATIONS}/{ids[0]}/retry", {})
    shop.post(f"{NOTIFICATIONS}/retry", {"filter": {"recipient": "ann@example.com"}})
    [record] = shop.get(AUDIT).json["items"]
    assert (record["act"], record["detail"]) == ("notifications.retried", {"count": 2, "filters": ["recipient"]})


def test_the_audit_log_is_paged_filtered_and_refuses_unknown_parameters(shop: CheckedClient) -> None:
    for n in range(5):
        shop.post("/api/suppressions", {"address": f"s{n}@example.com"})
    shop.request("PUT", "/api/pauses/client")
    seen, cursor = [], None
    while True:
        page = shop.get(AUDIT, limit=2, **({"cursor": cursor} if cursor else {})).json
        seen += [record["id"] for record in page["items"]]
        if not (cursor := page["nextCursor"]):
            break
    assert (len(seen), seen) == (6, sorted(seen, reverse=True))
    assert len(shop.get(AUDIT, act="suppression.added").json["items"]) == 5
    assert shop.get(AUDIT, actor="cli").json["items"] == []
    assert shop.get(AUDIT, keyId=int(shop.key.split("_")[2]), createdFrom="2020-01-01T00:00:00Z").json["items"] != []
    for query in ({"cursor": "x"}, {"actor": "nobody"}, {"act": "\t"}, {"keyId": "0"}, {"what": "1"}):
        assert shop.get(AUDIT, **query).status == 400
