"""The page of a notification: its timeline, its mail in a sandboxed frame, and its actions; and the pages of lists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from api.dashboard.failing import GROUPED
from api.dashboard.phrases import count
from cli.servers.valkey import Valkey
from tests.client import Client
from tests.dashboard import Page, Person, logged_in
from tests.furnishing import HOSTILE, failed, pending, status
from tests.integration.api import Api, running
from tests.keys import client, key

# As many copies of a failed notification, with its attempts.
COPIES = """WITH copies AS (INSERT INTO notifications
    SELECT (jsonb_populate_record(n, jsonb_build_object('id', nextval('notifications_id_seq')))).*
    FROM notifications AS n, generate_series(1, %s) WHERE n.id = %s RETURNING id)
INSERT INTO attempts SELECT (jsonb_populate_record(a, jsonb_build_object('notification_id', copies.id))).*
FROM copies, attempts AS a WHERE a.notification_id = %s RETURNING 1"""


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000, retry_limit=2) as started:
        yield started


@pytest.fixture(scope="module")
def person(api: Api) -> Person:
    return logged_in(api)


def test_the_page_shows_every_attempt_with_its_reply(api: Api, person: Person) -> None:
    text = person.get(f"/notifications/{failed(api.sql, '550 5.1.1 no such user')}").text

    for told in ("Accepted", "Attempt 1", "refused", "40 ms", "rcpt", "550 5.1.1 no such user", "mail:25", "rejected"):
        assert told in text


def test_the_list_is_filtered_by_the_filled_in_fields(api: Api, person: Person) -> None:
    id = failed(api.sql, "a-tag")
    for query in (
        "recipient=refused%40example.com",
        "status=failed&recipient=",
        "tag=a-tag",
        "createdFrom=2024-01-01T00:00",
    ):
        assert f"/notifications/{id}" in person.get(f"/notifications?{query}").html
    for query in ("recipient=nobody%40example.com", "status=sent", "priority=high", "createdTo=2024-01-01T00:00:30"):
        assert "No notification matches these filters." in person.get(f"/notifications?{query}").text
    assert person.get(f"/notifications?recipient=%23{id}").headers["location"] == f"/notifications/{id}"


@pytest.mark.parametrize("query", ["status=x", "createdFrom=yesterday", "cursor=x", "nothing=1", "limit=0"])
def test_an_invalid_filter_is_reported_on_the_page(person: Person, query: str) -> None:
    page = person.get(f"/notifications?{query}")
    assert page.status == 400
    assert f"<code>{query.partition('=')[0]}</code>" in page.html


def test_the_list_is_paged(api: Api) -> None:
    other = client(api.sql, "paged")
    ids = [pending(api.sql, of=other) for _ in range(5)]
    person, found, path = logged_in(api, "read", of=other), [], "/notifications?limit=2&status=pending"
    while path:
        page = person.get(path)
        found += re.findall(r'class="strong" href="/notifications/(\d+)"', page.html)
        next_notification = re.search(r'href="([^"]+)" rel="next"', page.html)
        path = next_notification[1].replace("&amp;", "&") if next_notification else ""
    assert list(map(int, found)) == ids[::-1]
    assert "First page" in page.text


def test_a_mail_is_shown_in_a_sandboxed_frame(api: Api, person: Person) -> None:
    id = failed(api.sql, html="<script>mine()</script><img src='cid:logo'><img src='https://example.com/x'>")

    frame = person.get(f"/notifications/{id}/mail")

    policy = frame.headers["content-security-policy"]
    assert policy.endswith("; sandbox")
    assert "default-src 'none'; img-src data:;" in policy
    assert "frame-ancestors 'self'" in policy
    assert "script" not in policy
    assert frame.headers["x-frame-options"] == "SAMEORIGIN"
    assert frame.headers["cache-control"] == "no-store"
    assert "<img src='data:image/gif;base64,R0lGOA=='>" in frame.html
    story = person.get(f"/notifications/{id}").html
    assert re.search(rf'<iframe [^>]*src="/notifications/{id}/mail" sandbox=""', story)
    assert "mine()" not in story


def test_a_mail_without_html_has_no_frame(api: Api, person: Person) -> None:
    id = failed(api.sql, html=None)
    assert person.get(f"/notifications/{id}/mail").status == 404
    assert "<iframe" not in person.get(f"/notifications/{id}?view=html").html


def test_the_shown_source_equals_the_sent_mail(api: Api, person: Person) -> None:
    id = failed(api.sql, "said")
    source = person.get(f"/notifications/{id}/source")
    assert source.headers["content-type"] == "text/plain; charset=utf-8"
    assert source.headers["content-security-policy"].endswith("; sandbox")
    for line in ("From: noreply@sender.example", "X-Said: said", "Content-ID: <logo>", f"Message-ID: <{id}."):
        assert f"\n{line}" in f"\n{source.html}"


def test_an_attachment_is_downloaded_and_never_displayed(api: Api, person: Person) -> None:
    answer = person.get(f"/notifications/{failed(api.sql)}/attachments/1")
    assert answer.html == "bytes"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_failed_notification_is_retried_after_a_confirmation(api: Api, person: Person) -> None:
    id = failed(api.sql)
    assert "with all of its attempts" in person.get(f"/notifications/{id}/retry").text

    answer = person.submit(f"/notifications/{id}/retry")

    assert answer.headers["location"] == f"/notifications/{id}"
    assert status(api.sql, id) == "pending"
    story = person.get(f"/notifications/{id}").text
    assert "is pending again" in story
    assert "Retried" in story
    assert "is pending again" not in person.get(f"/notifications/{id}").text
    again = person.get(f"/notifications/{id}/retry")
    assert (again.status, "The notification is pending" in again.text) == (409, True)


def test_pending_notification_is_cancelled_after_a_confirmation(api: Api, person: Person) -> None:
    id = pending(api.sql)
    late = person.get(f"/notifications/{id}/cancel").token

    assert person.post(f"/notifications/{id}/cancel", {"form_token": late}).status == 303
    assert status(api.sql, id) == "cancelled"
    assert person.post(f"/notifications/{id}/cancel", {"form_token": late}).status == 409
    assert person.get(f"/notifications/{id}/cancel").status == 409


def resent(person: Person, id: int) -> int:
    page = person.get(f"/notifications/{id}/resend")
    once = re.search(r'name="once" value="([^"]+)"', page.html)
    assert once
    fields = {"form_token": page.token, "once": once[1]}
    first, second = (person.post(f"/notifications/{id}/resend", fields) for _ in range(2))
    assert first.status == 303, first.text
    assert first.headers["location"] == second.headers["location"]
    return int(first.headers["location"].rpartition("/")[2])


def test_resending_creates_one_new_notification_with_the_same_content(api: Api, person: Person) -> None:
    id = failed(api.sql, "250 said")

    new = resent(person, id)

    same = "type, recipient, subject, message, html, mail, tags, metadata, client_id, sandbox, template"
    [first], [second] = (api.sql.rows(f"SELECT {same} FROM notifications WHERE id = %s", n) for n in (id, new))
    assert first == second
    contents = "SELECT number, content::text FROM attachments WHERE notification_id = %s ORDER BY 1"
    assert api.sql.rows(contents, id) == api.sql.rows(contents, new)
    assert status(api.sql, new) == "pending"
    assert status(api.sql, id) == "failed"
    assert f"with the content of notification {id}" in person.get(f"/notifications/{new}").text


def test_a_resent_notification_is_due_now_despite_its_schedule(api: Api, person: Person) -> None:
    new = resent(person, pending(api.sql))
    assert api.sql.rows("SELECT send_at, expires_at FROM notifications WHERE id = %s", new) == [(None, None)]


def test_a_notification_without_its_attachments_cannot_be_resent(api: Api, person: Person) -> None:
    id = failed(api.sql)
    api.sql.rows("DELETE FROM attachments WHERE notification_id = %s RETURNING 1", id)
    gone = person.submit(f"/notifications/{id}/resend", {"once": "A" * 22})
    assert (gone.status, "no longer stored" in gone.text) == (410, True)


def test_a_notification_whose_sender_is_no_longer_allowed_cannot_be_resent(api: Api, person: Person) -> None:
    id = pending(api.sql)
    api.sql.rows("""UPDATE notifications SET mail = '{"from": "a@b.example"}' WHERE id = %s RETURNING 1""", id)
    refused = person.submit(f"/notifications/{id}/resend", {"once": "A" * 22})
    assert (refused.status, "MAIL_FROM" in refused.text) == (409, True)


def test_erased_notification_is_shown_as_erased_and_cannot_be_resent(api: Api, person: Person) -> None:
    id = failed(api.sql)
    blank = "recipient = '', subject = '', message = '', html = NULL, mail = NULL, metadata = NULL, tags = NULL"
    api.sql.rows(f"UPDATE notifications SET {blank}, erased_at = now() WHERE id = %s RETURNING 1", id)

    story = person.get(f"/notifications/{id}")

    assert "Erased" in story.text
    assert "/resend" not in story.html
    assert person.get(f"/notifications/{id}/resend").status == 409
    assert person.submit("/", {"once": "A" * 22}, to=f"/notifications/{id}/resend").status == 404


@pytest.mark.parametrize("once", ["", "x", "A" * 23, "\x01" * 22])
def test_an_incomplete_form_sends_nothing(api: Api, person: Person, once: str) -> None:
    assert person.submit(f"/notifications/{pending(api.sql)}/resend", {"once": once}).status == 400


def test_a_client_at_its_limit_cannot_resend(api: Api) -> None:
    other = client(api.sql, "full")
    id = pending(api.sql, of=other)
    api.sql.rows("UPDATE clients SET rate_limit = 1 WHERE id = %s RETURNING 1", other)
    person = logged_in(api, "read", "send", of=other)
    assert person.submit(f"/notifications/{id}/resend", {"once": "A" * 22}).status == 303
    limited = person.submit(f"/notifications/{id}/resend", {"once": "B" * 22})
    assert (limited.status, limited.headers["content-type"]) == (429, "text/html; charset=utf-8")


def test_buttons_are_shown_only_to_keys_with_their_scope(api: Api) -> None:
    id = failed(api.sql)
    assert not {"Retry", "Cancel", "Resend"} & set(logged_in(api, "read").get(f"/notifications/{id}").text.split())
    assert "/retry" in logged_in(api, "read", "manage").get(f"/notifications/{id}").html
    assert "/resend" not in logged_in(api, "read", "manage").get(f"/notifications/{id}").html


def test_a_test_key_can_change_no_live_notification(api: Api) -> None:
    tester = logged_in(api, "read", "manage", "send", sandbox=True)
    live, test = pending(api.sql), pending(api.sql, sandbox=True)
    for act in ("cancel", "resend"):
        assert tester.submit("/", {"once": "A" * 22}, to=f"/notifications/{live}/{act}").status == 404
    new = resent(tester, test)
    assert api.sql.rows("SELECT sandbox FROM notifications WHERE id = %s", new) == [(True,)]
    assert tester.submit(f"/notifications/{test}/cancel").status == 303


def counts(page: Page) -> list[str]:
    """Return the number of failures of each group on the page."""
    return re.findall(r'"number strong"><a [^>]*>([^<]+)<', page.html)


def test_failures_are_grouped_and_retried_by_group(api: Api) -> None:
    other = client(api.sql, "failing")
    person = logged_in(api, "read", "manage", of=other)
    assert "No notification has failed." in person.get("/failures").text
    mine = [failed(api.sql, HOSTILE, of=other) for _ in range(5)]
    elsewise = failed(api.sql, "552 full", of=other, code=552)

    page = person.get("/failures")
    kinds = [link.replace("&amp;", "&") for link in re.findall(r'href="(/failures/retry\?[^"]+)"', page.html)]
    assert counts(page) == ["5", "1"]
    assert "All failures, grouped" in page.text
    assert "<script>alert" not in page.html
    asked = person.get(kinds[0])
    assert "Notifications 5" in asked.text

    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.html))
    done = person.post("/failures/retry", fields)

    assert done.headers["location"] == "/failures"
    assert "pending again: 5." in person.get("/failures").text
    assert {status(api.sql, id) for id in mine} == {"pending"}
    assert status(api.sql, elsewise) == "failed"
    noted = api.sql.rows(
        "SELECT act, actor, (detail ->> 'count')::int FROM audit"
        " WHERE client_id = %s AND act LIKE 'notifications.%%' ORDER BY id",
        other,
    )
    assert noted == [("notifications.retried", "key", count) for count in (2, 2, 1)]
    assert person.get("/failures/retry?reason=rejected").status == 400


def test_only_the_newest_failures_are_grouped(api: Api) -> None:
    other = client(api.sql, "failing much")
    again = failed(api.sql, of=other)
    api.sql.rows(COPIES, GROUPED, again, again)
    page = logged_in(api, "read", of=other).get("/failures")
    assert counts(page) == [count(GROUPED)]
    assert "The newest 2 000 failures, grouped" in page.text
    assert "/failures/retry" not in page.html


def test_the_api_accepts_keys_and_the_dashboard_sessions(api: Api, person: Person) -> None:
    id = failed(api.sql)
    headers = {"Authorization": f"Bearer {key(api.sql)}"}
    assert Client(api.port).request("GET", f"/api/notifications/{id}/attachments/1", headers=headers).status == 200
    assert Client(api.port).request("GET", f"/notifications/{id}/attachments/1", headers=headers).status == 303
