"""Notifications with a history, for tests of pages, inserted directly into the database."""

from __future__ import annotations

import json

from tests.queries import Queries

HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(1)> \u202e\u2066 &amp; {{ 7919 * 7907 }}\r\nX: y"
FILE = {"filename": f"{HOSTILE[:80]}.txt", "contentType": "text/plain", "contentId": None, "size": 5}
LOGO = {"filename": "logo.gif", "contentType": "image/gif", "contentId": "logo", "size": 4}
WORKER = "00000000-0000-4000-8000-000000000001"


def failed(sql: Queries, text: str = "550 no", *, of: int = 1, code: int = 550, html: str | None = "<p>Hello") -> int:
    """One whose only attempt was refused, with headers, files, tags, metadata: each of them says `text`."""
    mail = {
        "headers": {"X-Said": text},
        "cc": [f"{text[:40]} <cc@example.com>"],
        "recipientName": text,
        "attachments": [FILE, LOGO],
    }
    [(id,)] = sql.rows(
        """
        INSERT INTO notifications (type, recipient, subject, message, html, client_id, mail, tags, metadata, status,
                                   failure_reason, last_error, finished_at, next_attempt_at, dispatch_after,
                                   attempt_count, claim, template, template_version)
        VALUES ('email', 'refused@example.com', %s, %s, %s, %s, %s, %s, %s, 'failed',
                'rejected', %s, now(), NULL, NULL, 1, 1, %s, 3) RETURNING id
        """,
        *(text, text, html, of, json.dumps(mail), json.dumps([text]), json.dumps({"said": text}), text, text),
    )
    sql.rows(
        "INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, phase,"
        " reply_code, text) VALUES (%s, 1, 'refused', %s, 'mail:25', now() - interval '40 ms', now(), 'rcpt', %s, %s)"
        " RETURNING 1",
        *(id, WORKER, code, text),
    )
    for number, content in enumerate((b"bytes", b"GIF8"), 1):
        sql.rows(
            "INSERT INTO attachments (notification_id, number, content) VALUES (%s, %s, %s) RETURNING 1",
            *(id, number, content),
        )
    return int(id)


def pending(sql: Queries, *, of: int = 1, sandbox: bool = False) -> int:
    """One that waits for tomorrow."""
    [(id,)] = sql.rows(
        "INSERT INTO notifications (type, recipient, subject, message, client_id, sandbox, send_at, next_attempt_at,"
        " dispatch_after) SELECT 'email', 'later@example.com', 'Later', 'Hello', %s, %s, t, t, t"
        " FROM (SELECT now() + interval '1 day') AS t (t) RETURNING id",
        *(of, sandbox),
    )
    return int(id)


def endpoint(sql: Queries, text: str = "Orders", *, of: int = 1) -> int:
    """A callback endpoint that is called `text`."""
    [(id,)] = sql.rows(
        "INSERT INTO callbacks (client_id, url, description, events, secret)"
        " VALUES (%s, 'https://example.com/hook?' || %s, %s, '{sent,failed}', 'whsec_AAAA') RETURNING id",
        *(of, text, text),
    )
    return int(id)


def delivery(sql: Queries, endpoint: int, text: str = "500 no", *, of: int = 1) -> int:
    """A callback that its endpoint has refused once, and that says `text`."""
    [(id,)] = sql.rows(
        "INSERT INTO notifications (type, lane, client_id, recipient, subject, message, callback_id, subject_id,"
        " status, failure_reason, last_error, finished_at, next_attempt_at, dispatch_after, attempt_count, claim)"
        " VALUES ('callback', 'callback', %s, '', 'notification.sent', %s, %s, 9, 'failed',"
        " 'exhausted', %s, now(), NULL, NULL, 1, 1) RETURNING id",
        *(of, text, endpoint, text),
    )
    sql.rows(
        "INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, phase,"
        " reply_code, text) VALUES (%s, 1, 'deferred', %s, 'callback', now() - interval '40 ms', now(), 'answer',"
        " 500, %s) RETURNING 1",
        *(id, WORKER, text),
    )
    return int(id)


def status(sql: Queries, id: int) -> str:
    """Return the current status of a notification."""
    [(found,)] = sql.rows("SELECT status FROM notifications WHERE id = %s", id)
    return str(found)
