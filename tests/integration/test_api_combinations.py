"""Templates and the suppression list combined with keys, batches, times, copies, attachments and our unsubscribe
link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.channels.email.unsubscribing import url
from cli.servers.valkey import Valkey
from settings import read
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_wake_ups import carried

BATCH = f"{NOTIFICATIONS}/batch"
MAIL = {"type": "email", "recipient": "test@example.com"}
LOGO = {"filename": "logo.gif", "contentType": "image/gif", "content": "R0lG", "contentId": "logo"}
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
PUBLIC: dict[str, Any] = {"public_url": "https://notify.example.com", "unsubscribe_secret": "s" * 32}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    limits: dict[str, Any] = {"render_cpu": 0.3, "render_timeout": 60, "batch_render_timeout": 0.2}
    with running(module_database_url, redis_server.url, **limits, **PUBLIC) as api:
        yield api


@pytest.fixture
def client(api: Api, redis_url: str) -> CheckedClient:
    return api.client


def put(client: CheckedClient, name: str, text: str, **more: str) -> None:
    document = {"subject": "Hi {{ name }}", "text": text, **more}
    path, body = f"/api/templates/{name}", json.dumps(document).encode()
    assert client.request("PUT", path, body, {"Content-Type": "application/json"}).status == 201


def delete(client: CheckedClient, path: str) -> None:
    assert client.request("DELETE", path).status == 204


def suppress(client: CheckedClient, address: str) -> None:
    assert client.post("/api/suppressions", {"address": address}).status in (200, 201)


def templated(name: str, person: str = "Ann", **more: object) -> dict[str, Any]:
    return {**MAIL, "template": name, "variables": {"name": person}, **more}


def replayed(answer: Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


@pytest.mark.parametrize("then", ["a newer version", "a faulty one", "none"])
def test_a_replay_shows_the_first_text_although_the_template_has_changed(client: CheckedClient, then: str) -> None:
    name = then.replace(" ", ".")
    put(client, name, "Hello {{ name }}")
    first = client.post(NOTIFICATIONS, templated(name), idempotency_key=name)
    if then == "none":
        delete(client, f"/api/templates/{name}")
    else:
        put(client, name, "Goodbye {{ name }}" if then == "a newer version" else "{{ other }}")
    again = client.post(NOTIFICATIONS, templated(name), idempotency_key=name)

    assert (first.status, first.json["message"]) == (201, "Hello Ann")
    assert first.json["template"] == {"name": name, "version": 1}
    assert (again.raw, replayed(again)) == (first.raw, True)
    other = client.post(NOTIFICATIONS, templated(name, "Bob"), idempotency_key=name)
    assert (other.status, list(faults(other))) == (422, ["Idempotency-Key"])


def test_a_request_with_a_template_fault_leaves_its_idempotency_key_free(client: CheckedClient) -> None:
    refused = client.post(NOTIFICATIONS, templated("later"), idempotency_key="later")
    assert (refused.status, list(faults(refused))) == (422, ["/template"])
    put(client, "later", "Hello {{ name }}")
    accepted = client.post(NOTIFICATIONS, templated("later"), idempotency_key="later")

    assert (accepted.status, replayed(accepted)) == (201, False)


def test_items_of_a_batch_are_rendered_and_faults_name_their_item(client: CheckedClient) -> None:
    put(client, "batch", "Hello {{ name }}", html="<p>{{ name }}</p>")
    plain = {**MAIL, "message": "Hi"}
    answer = client.post(BATCH, {"items": [templated("batch", "Ann"), plain, templated("batch", "<Bob>")]})
    assert [i["message"] for i in answer.json["items"]] == ["Hello Ann", "Hi", "Hello <Bob>"]
    assert answer.json["items"][2]["html"] == "<p>&lt;Bob&gt;</p>"
    assert client.notification(answer.json["items"][2]["id"]) == answer.json["items"][2]

    wrong = [plain, templated("nowhere"), {**templated("batch"), "variables": {}}]
    refused = client.post(BATCH, {"items": wrong})
    assert (refused.status, set(faults(refused))) == (422, {"/items/1/template", "/items/2/variables/name"})
    partial = client.post(f"{BATCH}?partial=true", {"items": wrong})
    assert [i["status"] for i in partial.json["items"]] == [201, 422, 422]


def test_an_item_is_replayed_by_its_key_although_its_template_was_deleted(
    client: CheckedClient,
) -> None:
    put(client, "gone", "Hello {{ name }}")
    item = templated("gone", idempotencyKey="item-gone")
    first = client.post(BATCH, {"items": [item]})
    delete(client, "/api/templates/gone")

    again = client.post(BATCH, {"items": [item]})
    assert (again.status, again.json, replayed(again)) == (201, first.json, True)
    mixed = client.post(f"{BATCH}?partial=true", {"items": [templated("gone"), item, {**item, "recipient": "b@x.de"}]})
    assert [i["status"] for i in mixed.json["items"]] == [422, 201, 422]
    assert mixed.json["items"][1] == {"status": 201, "replayed": True, "notification": first.json["items"][0]}
    other = client.post(BATCH, {"items": [{**item, "recipient": "b@example.com"}]})
    assert faults(other) == {
        "/items/0/idempotencyKey": "was used for another request: send a new key, or the same request"
    }


def test_a_batch_whose_templates_take_too_long_is_a_503(client: CheckedClient) -> None:
    put(client, "endless", ENDLESS + "{{ name }}")
    answer = client.post(BATCH, {"items": [templated("endless")] * 5})

    assert (answer.status, "retry-after" in answer.headers) == (503, True)


def test_an_inline_image_is_accepted_only_if_the_template_has_html(client: CheckedClient) -> None:
    put(client, "image", "Hello {{ name }}", html='<img src="cid:logo">')
    put(client, "no.image", "Hello {{ name }}")
    files = [{**LOGO, "contentId": "a"}, LOGO]

    shown = client.post(NOTIFICATIONS, templated("image", attachments=files))
    assert [file["contentId"] for file in shown.json["attachments"]] == ["a", "logo"]
    refused = client.post(NOTIFICATIONS, templated("no.image", attachments=files))
    assert (refused.status, set(faults(refused))) == (422, {f"/attachments/{n}/contentId" for n in (0, 1)})


@pytest.mark.parametrize("how", ["plain", "key", "attachments", "later", "batch", "item with a key"])
def test_notification_to_a_suppressed_address_fails_at_once_without_a_wake_up_message(
    client: CheckedClient, how: str
) -> None:
    suppress(client, "gone@example.com")
    item: dict[str, Any] = {"type": "email", "recipient": "Gone@example.com", "message": "Hello"}
    if how == "attachments":
        item["attachments"] = [{**LOGO, "contentId": "a"}]
        item["html"] = "<p>"
    if how == "later":
        item["sendAt"] = "2099-01-01T00:00:00Z"
    if how == "item with a key":
        item["idempotencyKey"] = how
    if "batch" in how or "item" in how:
        [shown] = client.post(BATCH, {"items": [item]}).json["items"]
    else:
        shown = client.post(NOTIFICATIONS, item, **({"idempotency_key": how} if how == "key" else {})).json

    assert (shown["status"], shown["failureReason"], shown["nextAttemptAt"]) == ("failed", "suppressed", None)
    assert shown["lastError"] == "gone@example.com is on the suppression list: manual"
    assert shown["finishedAt"] == shown["createdAt"]
    assert client.notification(shown["id"]) == shown
    after = client.notify("ann@example.com").json["id"]
    eventually(lambda: after in carried())
    assert shown["id"] not in carried()


@pytest.mark.parametrize("of", ["request", "item", "batch"])
def test_the_first_answer_is_replayed_after_a_retry(client: CheckedClient, of: str) -> None:
    address = f"{of}@example.com"
    suppress(client, address)
    item = {"type": "email", "recipient": address, "message": "Hello"}
    path: str = NOTIFICATIONS
    document: dict[str, Any] = item
    key = {} if of == "item" else {"idempotency_key": f"again-{of}"}
    if of != "request":
        own = {"idempotencyKey": "again"} if of == "item" else {}
        path, document = BATCH, {"items": [{**item, **own}]}
    first = client.post(path, document, **key)
    [shown] = first.json.get("items", [first.json])
    delete(client, f"/api/suppressions/{address}")
    retried = client.post(f"{NOTIFICATIONS}/{shown['id']}/retry", {})
    again = client.post(path, document, **key)

    assert (shown["failureReason"], retried.json["status"]) == ("suppressed", "pending")
    assert (again.raw, replayed(again)) == (first.raw, True)


@pytest.mark.parametrize("copies", [{"cc": ["Bob <BOB@exämple.com>"]}, {"bcc": ["bob@xn--exmple-cua.com"]}])
def test_a_suppressed_copy_fails_the_notification_and_is_named(
    client: CheckedClient, copies: dict[str, list[str]]
) -> None:
    suppress(client, "bob@exämple.com")
    shown = client.post(NOTIFICATIONS, {**MAIL, "message": "Hello", **copies}).json

    assert (shown["status"], shown["failureReason"]) == ("failed", "suppressed")
    assert shown["lastError"] == "bob@xn--exmple-cua.com is on the suppression list: manual"


def test_the_unsubscribe_link_that_a_notification_asks_for_works(client: CheckedClient) -> None:
    mail = {**MAIL, "recipient": "Leaving@example.com", "message": "Hello", "unsubscribe": True}
    shown = client.post(NOTIFICATIONS, mail).json
    assert shown["unsubscribe"] is True
    assert client.notification(shown["id"]) == shown

    settings = read({name.upper(): value for name, value in PUBLIC.items()}).public
    link = (url(shown["id"], settings) or "").removeprefix(PUBLIC["public_url"])
    assert client.request("POST", link, b"List-Unsubscribe=One-Click").status == 200
    assert (
        client.post(NOTIFICATIONS, mail).json["lastError"]
        == "leaving@example.com is on the suppression list: unsubscribed"
    )


@pytest.mark.parametrize("wrong", [False, None, 1, "true", [], {}, {"url": "https://x.example", "more": 1}])
def test_unsubscribe_is_true_or_an_object_with_a_url(client: CheckedClient, wrong: object) -> None:
    refused = client.post(NOTIFICATIONS, {**MAIL, "message": "Hello", "unsubscribe": wrong})

    assert refused.status == 422
    assert all(pointer.startswith("/unsubscribe") for pointer in faults(refused))


def test_unsubscribe_link_of_our_own_cannot_be_combined_with_cc(client: CheckedClient) -> None:
    refused = client.post(NOTIFICATIONS, {**MAIL, "message": "Hello", "unsubscribe": True, "cc": ["b@example.com"]})

    assert faults(refused) == {
        "/unsubscribe": "cannot be true with cc or bcc, because the link unsubscribes the recipient only"
    }


def test_our_unsubscribe_link_needs_public_url(module_database_url: str, redis_server: Valkey) -> None:
    with running(module_database_url, redis_server.url) as api:
        refused = api.client.post(NOTIFICATIONS, {**MAIL, "message": "Hello", "unsubscribe": True})

    assert refused.status == 422
    assert faults(refused)["/unsubscribe"].startswith("cannot be true because the setting PUBLIC_URL is empty")
