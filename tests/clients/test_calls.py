"""Both clients against the real system: every method, and every field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notification_client import (
    Attachment,
    Client,
    Conflict,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    StillPending,
    verify_callback,
)
from tests.acceptance.world import World
from tests.dns_server import DnsServer
from tests.eventually import eventually
from tests.hooks import Hooks
from tests.smtp import Reply

LATER = datetime(2124, 1, 1, 10, tzinfo=UTC)


def test_a_notification_is_sent_and_waited_for(client: Any, world: World) -> None:
    recipient = world.recipient()

    accepted = client.send(type="email", recipient=recipient, subject="Hi", message="Hello")
    ended = client.wait(accepted.id, timeout=30)

    assert (accepted.status, ended.status) == ("pending", "sent")
    assert [mail.parsed["Subject"] for mail in world.mail_server.mails_to(recipient)] == ["Hi"]
    assert ended.finished_at >= ended.created_at
    assert [attempt.outcome for attempt in client.attempts(accepted.id)] == ["sent"]
    assert [event.event for event in client.timeline(accepted.id)] == ["accepted", "attempted", "sent"]


def test_every_field_reaches_the_api(client: Any, world: World, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"100 EUR")
    recipient, copy, hidden = world.recipients(3)

    accepted = client.send(
        type="email",
        recipient=recipient,
        recipient_name="Ann",
        sender="Shop <noreply@sender.example>",
        reply_to="help@example.com",
        cc=[copy],
        bcc=[hidden],
        subject="Your invoice",
        message="Here it is.",
        html='<img src="cid:logo">',
        headers={"X-Campaign": "invoices"},
        attachments=[Attachment.of(file), Attachment("logo.gif", b"GIF89a", "image/gif", "logo")],
        unsubscribe={"url": "https://example.com/leave"},
        priority="high",
        on_uncertain="hold",
        send_at=datetime.now(UTC),
        expires_at=LATER,
        tags=["a", "b"],
        metadata={"order_id": "42"},
    )

    shown = client.get(accepted.id)
    assert (shown.sender, shown.reply_to, shown.recipient_name) == (
        *("Shop <noreply@sender.example>", "help@example.com", "Ann"),
    )
    assert (shown.cc, shown.bcc, shown.tags, shown.metadata) == ([copy], [hidden], ["a", "b"], {"order_id": "42"})
    assert (shown.priority, shown.on_uncertain, shown.expires_at) == ("high", "hold", LATER)
    assert [file.content_id for file in shown.attachments] == [None, "logo"]
    assert client.attachment(accepted.id, 1) == b"100 EUR"
    assert client.wait(accepted.id, 30).status == "sent"
    assert {mail.parsed["X-Campaign"] for mail in world.mail_server.mails_to(hidden)} == {"invoices"}


def test_a_repeated_send_with_an_idempotency_key_stores_one_notification(client: Any, world: World) -> None:
    first, again = (
        client.send(type="email", recipient="a@example.com", message="Hi", idempotency_key="order-1") for _ in "ab"
    )

    assert first.id == again.id
    with pytest.raises(InvalidRequest):
        client.send(type="email", recipient="a@example.com", message="Another", idempotency_key="order-1")


def test_faults_are_listed_with_their_pointers(client: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        client.send(type="email", recipient="nobody", message="")

    assert raised.value.status == 422
    assert {fault.place for fault in raised.value.errors} == {"/recipient", "/message"}
    assert "/recipient must be" in str(raised.value)
    assert raised.value.request_id


def test_a_field_that_this_version_does_not_know_reaches_the_api(client: Any) -> None:
    with pytest.raises(InvalidRequest, match="/newField"):
        client.send(type="email", recipient="a@example.com", message="Hi", new_field=1)


def test_a_time_without_a_zone_is_refused_before_anything_is_sent(client: Any) -> None:
    with pytest.raises(ValueError, match="send_at has no time zone"):
        client.send(type="email", recipient="a@example.com", message="Hi", send_at=datetime(2030, 1, 1))  # noqa: DTZ001


def test_a_batch_is_stored_as_a_whole_or_item_by_item(client: Any) -> None:
    good = {"type": "email", "recipient": "a@example.com", "message": "Hi", "idempotency_key": "a-1"}
    bad = {"type": "email", "recipient": "a@example.com"}

    with pytest.raises(InvalidRequest, match="/items/1/message"):
        client.send_all([good, bad])
    results = client.send_each([good, bad])
    [again] = client.send_all([good])

    assert [result.status for result in results] == [201, 422]
    assert [fault.place for fault in results[1].errors] == ["/items/1/message"]
    assert results[0].notification.id == again.id


def test_a_list_iterates_over_all_pages(client: Any) -> None:
    stored = client.send_all(
        [
            {"type": "email", "recipient": f"{n}@example.com", "message": "Hi", "tags": ["many"], "send_at": LATER}
            for n in range(60)
        ]
    )

    found = list(client.find(tag="many", status="pending"))

    assert [n.id for n in found] == [n.id for n in reversed(stored)]
    assert [n.recipient for n in client.find(tag="many", recipient="7@example.com")] == ["7@example.com"]
    assert list(client.find(metadata={"a": "b"}, created_from=datetime.now(UTC) + timedelta(days=1))) == []


def test_a_pending_notification_is_rescheduled_and_cancelled(client: Any) -> None:
    id = client.send(type="email", recipient="a@example.com", message="Hi", send_at=LATER, expires_at=None).id

    moved = client.reschedule(id, send_at=LATER + timedelta(days=1), expires_at=LATER + timedelta(days=2))
    freed = client.reschedule(id, expires_at=None)
    with pytest.raises(StillPending) as waited:
        client.wait(id, timeout=0.5)
    cancelled = client.cancel(id)

    assert moved.send_at == freed.send_at == LATER + timedelta(days=1)
    assert (moved.expires_at, freed.expires_at) == (LATER + timedelta(days=2), None)
    assert waited.value.notification.id == id
    assert cancelled.status == "cancelled"
    with pytest.raises(Conflict, match="is cancelled"):
        client.cancel(id)


def test_failed_notifications_are_counted_and_retried(client: Any, world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("rcpt", Reply(550, "5.7.1 no"), to=recipient)
    id = client.send(type="email", recipient=recipient, message="Hi").id
    assert client.wait(id, 30).failure_reason == "rejected"

    assert client.count_failed(recipient=recipient) == 1
    assert client.retry_failed(recipient=recipient, limit=5).retried == 1
    assert client.wait(id, 30).status == "sent"
    with pytest.raises(Conflict):
        client.retry(id)


def test_templates_are_stored_previewed_and_used(client: Any, world: World) -> None:
    first = client.templates.put("welcome", subject="Hello {{ name }}", text="Hello {{ name }}")
    second = client.templates.put("welcome", subject="Hi {{ name }}", text="Hi", schema={"type": "object"})

    preview = client.templates.preview("welcome", {"name": "Ann"}, version=first.version)
    sent = client.send(type="email", recipient="a@example.com", template="welcome", variables={"name": "Bob"})

    assert (first.version, second.version) == (1, 2)
    assert preview.subject == "Hello Ann"
    assert client.get(sent.id).subject == "Hi Bob"
    assert sent.template.version == 2
    assert [t.name for t in client.templates.all()] == ["welcome"]
    assert [t.version for t in client.templates.versions("welcome")] == [2, 1]
    assert client.templates.get("welcome", 1).text == "Hello {{ name }}"
    client.templates.delete("welcome")
    with pytest.raises(NotFound):
        client.templates.get("welcome")


def test_suppressed_addresses_get_no_mail(client: Any) -> None:
    made = client.suppressions.add("Ann+x/y@example.com", reason="unsubscribed", source="a list", expires_at=LATER)

    sent = client.send(type="email", recipient="ann+x/y@example.com", message="Hi")

    assert made.expires_at == LATER
    assert sent.failure_reason == "suppressed"
    assert client.suppressions.get("ann+x/y@example.com").source == "a list"
    assert [entry.address for entry in client.suppressions.all(reason="unsubscribed")] == ["ann+x/y@example.com"]
    client.suppressions.remove("ann+x/y@example.com")
    with pytest.raises(NotFound):
        client.suppressions.remove("ann+x/y@example.com")


def test_a_domain_is_added_checked_rotated_and_removed(client: Any, dns: DnsServer) -> None:
    added = client.domains.add("example.com", ed25519=True)
    assert (added.state, [key.algorithm for key in added.keys]) == ("pending", ["rsa", "ed25519"])
    for record in added.records:
        if record.value:
            dns.publish(record.name, record.value)

    assert client.domains.check("example.com").state == "verified"
    assert client.domains.add("example.com").keys == client.domains.get("example.com").keys
    rotated = client.domains.rotate("example.com")
    assert [key.state for key in rotated.keys] == ["current", "current", "new", "new"]
    assert [domain.domain for domain in client.domains.all()] == ["example.com"]
    client.domains.remove("example.com")
    with pytest.raises(NotFound):
        client.domains.get("example.com")


def test_a_callback_is_registered_verified_and_delivered_again(client: Any, world: World) -> None:
    with Hooks() as hooks:
        endpoint = client.callbacks.create(hooks.url, events=["sent"])
        id = client.send(type="email", recipient=world.recipient(), message="Hi").id
        eventually(lambda: hooks.posts, within=20, saying=world.system.logs)
        [post] = hooks.posts

        event = verify_callback(endpoint.secret, post.headers, post.body)

        assert event.notification is not None
        assert (event.type, event.notification.id, event.notification.status) == ("notification.sent", id, "sent")
        assert event.id == post.headers["webhook-id"]
        [delivery] = client.callbacks.deliveries(endpoint.id)
        eventually(lambda: client.callbacks.delivery(endpoint.id, delivery.id).status == "sent")
        assert client.callbacks.delivery(endpoint.id, delivery.id).body == post.body.decode()
        with pytest.raises(Conflict):
            client.callbacks.retry(endpoint.id, delivery.id)
        assert client.callbacks.health(endpoint.id).last_success_at is not None
        assert client.callbacks.retry_failed(endpoint.id).retried == 0
        client.callbacks.test(endpoint.id)
        eventually(lambda: len(hooks.posts) == 2, within=20, saying=world.system.logs)
        tested = verify_callback(endpoint.secret, hooks.posts[1].headers, hooks.posts[1].body)
        assert (tested.type, tested.notification) == ("callback.test", None)
        rotated = client.callbacks.rotate_secret(endpoint.id)
        assert rotated.secret != endpoint.secret
        assert repr(rotated.secret) not in repr(rotated)
        assert client.callbacks.change(endpoint.id, disabled=True).disabled
        assert [one.id for one in client.callbacks.all()] == [client.callbacks.get(endpoint.id).id]
        client.callbacks.delete(endpoint.id)
    assert client.callbacks.all() == []


def test_a_destination_is_created_changed_and_deleted(client: Any) -> None:
    made = client.destinations.create("orders", "webhook", url="https://example.com/orders", description="The ERP")
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    with pytest.raises(Conflict):
        client.destinations.create("orders", "slack", url="https://example.com/")
    assert client.destinations.change("orders", url="https://example.com/v2/orders").host == "example.com"
    assert client.destinations.rotate_secret("orders").secret != made.secret
    assert [one.name for one in client.destinations.all()] == ["orders"]
    assert client.destinations.get("orders").old_secret_until is not None
    client.destinations.delete("orders")
    assert list(client.destinations.all()) == []


def test_the_stream_reports_every_change_and_continues_where_it_was(client: Any, world: World) -> None:
    stream = client.stream(tag="followed")
    assert next(stream).event == "ready"
    id = client.send(type="email", recipient=world.recipient(), message="Hi", tags=["followed"]).id
    changes = [next(stream) for _ in range(3)]
    stream.close()

    again = client.stream(tag=["followed"], resume_from=changes[0].resume_from)
    resumed = [next(again) for _ in range(3)]
    again.close()

    assert [(change.event, change.notification.id) for change in changes] == [
        *(("accepted", id), ("claimed", id), ("sent", id)),
    ]
    assert [change.event for change in resumed] == ["ready", "claimed", "sent"]


def test_one_notification_is_followed_until_its_final_status(client: Any, world: World) -> None:
    id = client.send(type="email", recipient=world.recipient(), message="Hi").id

    changes = list(client.watch(id))
    after = list(client.watch(id, resume_from=changes[-1].resume_from or "3"))

    assert [c.event for c in changes if c.event not in ("status", "end")] == ["accepted", "attempted", "sent"]
    assert changes[-1].event == "end"
    assert [c.event for c in after] == []


def test_limits_pauses_erasures_and_exports_can_be_requested(client: Any, world: World) -> None:
    recipient = world.recipient()
    assert client.data.pause().paused
    id = client.send(type="email", recipient=recipient, message="Hi", attachments=[Attachment("a.txt", b"1")]).id
    assert not client.data.resume().paused
    assert client.wait(id, 30).status == "sent"

    lines = list(client.data.export(recipient, attachments=True))
    [exported] = [line["data"] for line in lines if line["kind"] == "notification"]
    assert (exported["id"], exported["attachments"][0]["content"]) == (id, "MQ==")
    erasure = client.data.erase(recipient)
    eventually(lambda: client.data.erasure(erasure.id).status == "done", within=20)
    assert client.get(id).erased_at is not None
    assert client.limits().daily.limit is None


def test_any_other_operation_can_be_requested(client: Any) -> None:
    client.data.pause()
    shown = client.request("GET", "/api/pauses")
    client.data.resume()

    assert [pause["paused"] for pause in shown["items"] if pause["kind"] == "client"] == [True]
    assert client.request("GET", "/api/notifications", query={"tag": "none"})["items"] == []


def test_an_unknown_id_and_a_wrong_key_raise_their_own_errors(client: Any, base_url: str) -> None:
    with pytest.raises(NotFound):
        client.get(999_999_999)
    with Client(base_url, "ntf_live_1_wrong") as stranger, pytest.raises(NotAuthenticated) as raised:
        stranger.get(1)
    assert "wrong" not in str(raised.value)
