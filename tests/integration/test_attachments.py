"""Attachments in the database: written with their notification or not at all, read by its owner alone."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock
from uuid import uuid4

import orjson
import pytest
from dramatiq import Retry

from db import attachments, lifecycle, reports
from db.database import Unacceptable, Unavailable, connection, database, rows
from db.idempotency import Post, Stored, accept_once
from db.records import Accepted, Draft
from tests.integration.rows import GRACE, WORKER, attempt, draft, history, row, status
from tests.integration.test_delivery import Make, make
from tests.smtp import Reply, SmtpServer

__all__ = ["make"]  # the fixture

pytestmark = pytest.mark.usefixtures("store")


def with_files(*contents: bytes, recipient: str = "a@example.com") -> Draft:
    told = [
        {"filename": f"{n}.bin", "contentType": "application/octet-stream", "contentId": None, "size": len(content)}
        for n, content in enumerate(contents)
    ]
    return draft(recipient)._replace(mail=orjson.dumps({"attachments": told}).decode(), contents=contents)


def stored_with(drafts: Sequence[Draft]) -> list[Accepted]:
    outcomes = accept_once([Post(one) for one in drafts], GRACE, 1)
    return [outcome.accepted for outcome in outcomes if isinstance(outcome, Stored)]


def stored() -> list[tuple[int, int, bytes]]:
    found = rows("SELECT notification_id, number, content FROM attachments ORDER BY 1, 2")
    return [(id, number, bytes(content)) for id, number, content in found]


def test_each_file_is_stored_with_its_own_notification() -> None:
    drafts = [with_files(b"one", b"\0\xff"), draft("b@example.com"), with_files(b"", recipient="c@example.com")]
    first, plain, last = (a.id for a in stored_with(drafts))
    assert stored() == [(first, 1, b"one"), (first, 2, b"\0\xff"), (last, 1, b"")]
    assert [row(id)["recipient"] for id in (first, plain, last)] == ["a@example.com", "b@example.com", "c@example.com"]
    assert [row(id)["mail"] is None for id in (first, plain, last)] == [False, True, False]


def test_a_notification_without_attachments_is_one_insert_into_one_table() -> None:
    with mock.patch.object(database, "execute_sql", side_effect=database.execute_sql) as ran:
        lifecycle.accept([draft(), draft()], GRACE)
    [((sql, _), _)] = ran.call_args_list
    assert "INSERT INTO notifications" in sql
    assert "attachments" not in sql


def test_notification_is_not_stored_if_an_attachment_cannot_be() -> None:
    rows("ALTER TABLE attachments ADD CONSTRAINT short CHECK (length(content) < 5)")
    try:
        with pytest.raises(Unacceptable), connection():
            stored_with([with_files(b"fine", b"too long")])
        assert rows("SELECT count(*) FROM notifications") == [(0,)]
        assert stored() == []
    finally:
        rows("ALTER TABLE attachments DROP CONSTRAINT short")


def test_the_owner_of_a_claim_reads_attachments_in_order() -> None:
    [one] = stored_with([with_files(b"1", b"2", b"3")])
    [claimed] = lifecycle.claim([one.id], WORKER)
    assert claimed.mail is not None
    assert [file["filename"] for file in claimed.mail["attachments"]] == ["0.bin", "1.bin", "2.bin"]
    assert attachments.contents(claimed.id, claimed.claim) == [b"1", b"2", b"3"]


def test_a_worker_without_the_claim_reads_no_attachments() -> None:
    [one] = stored_with([with_files(b"1")])
    [stale] = lifecycle.claim([one.id], WORKER)
    lifecycle.release([(stale.id, stale.claim)])
    assert attachments.contents(stale.id, stale.claim) is None
    [current] = lifecycle.claim([one.id], uuid4())
    assert attachments.contents(stale.id, stale.claim) is None
    assert attachments.contents(current.id, current.claim) == [b"1"]
    lifecycle.settle([lifecycle.sent(current, attempt())], GRACE, 0)
    assert attachments.contents(current.id, current.claim) is None


def test_a_notification_is_reported_with_its_attachments_without_their_content() -> None:
    [one] = stored_with([with_files(b"secret")])
    found = reports.notification(one.id, 1)
    assert found is not None
    assert found["mail"]["attachments"][0]["size"] == 6
    assert "secret" not in str(found)


def test_attachments_are_sent_in_each_attempt(make: Make, smtp_server: SmtpServer) -> None:
    [one] = stored_with([with_files(b"a" * 100_000, b"\0\r\n.\r\n")])
    smtp_server.on("dot", Reply(450, "4.2.0 busy"))
    delivery = make()
    with pytest.raises(Retry):
        delivery.deliver([one.id])
    rows("UPDATE notifications SET next_attempt_at = now() WHERE id = %s", one.id)
    delivery.deliver([one.id])
    [mail] = smtp_server.mails
    assert [p.get_payload(decode=True) for p in mail.parsed.iter_attachments()] == [b"a" * 100_000, b"\0\r\n.\r\n"]
    assert (status(one.id), history(one.id)) == ("sent", ["deferred", "sent"])


def test_a_notification_without_attachments_costs_no_read(make: Make, smtp_server: SmtpServer) -> None:
    plain = draft()._replace(mail='{"cc":["b@example.com"]}')
    ids = [a.id for a in stored_with([draft(), plain])]
    with mock.patch.object(attachments, "contents", side_effect=AssertionError):
        make().deliver(ids)
    assert [status(id) for id in ids] == ["sent", "sent"]
    assert smtp_server.mails[1].recipients == ("a@example.com", "b@example.com")


def test_a_read_is_tried_again_while_the_database_is_away(make: Make, smtp_server: SmtpServer) -> None:
    [one] = stored_with([with_files(b"x")])
    real, outage = attachments.contents, [Unavailable("away")] * 3

    def contents(id: int, claim: int) -> list[bytes] | None:
        if outage:
            raise outage.pop()
        return real(id, claim)

    with mock.patch.object(attachments, "contents", contents):
        make().deliver([one.id])
    assert (status(one.id), history(one.id)) == ("sent", ["sent"])


def test_a_worker_that_lost_its_claim_before_reading_attachments_sends_nothing(
    make: Make, smtp_server: SmtpServer
) -> None:
    [one] = stored_with([with_files(b"x")])
    real = attachments.contents

    def contents(id: int, claim: int) -> list[bytes] | None:
        rows("UPDATE notifications SET claim = claim + 1 WHERE id = %s", id)
        return real(id, claim)

    with mock.patch.object(attachments, "contents", contents):
        make().deliver([one.id])
    assert smtp_server.mails == []
    assert (status(one.id), history(one.id)) == ("processing", [])


def test_deleted_attachments_fail_the_notification_with_the_reason(make: Make, smtp_server: SmtpServer) -> None:
    [one] = stored_with([with_files(b"x")])
    rows("DELETE FROM attachments")
    make().deliver([one.id])
    assert (status(one.id), row(one.id)["last_error"]) == ("failed", "its attachments are missing: they were deleted")
    assert smtp_server.connections == 0
