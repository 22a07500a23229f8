"""Notifications to send through providers: one with as little as possible, and one with all that there is."""

from __future__ import annotations

from datetime import UTC, datetime

from db.records import Claimed

PLAIN = Claimed(5, 1, "email", "a@example.com", "Hi", "Hello", None, "resend", 0, datetime(2024, 1, 1, tzinfo=UTC))
RICH = PLAIN._replace(
    subject="Größe: 1 €",
    message="Line 1\nZeile 2 ü",
    html="<p>Hällo <img src='cid:logo'></p>",
    mail={
        "recipientName": "Doe, Ann",
        "cc": ["Bob <b@example.com>"],
        "bcc": ["c@example.com"],
        "replyTo": "Help <help@example.com>",
        "headers": {"X-Campaign": "Grüße"},
        "unsubscribe": {"url": "https://example.com/leave?list=7"},
        "attachments": [
            {"filename": "a.txt", "contentType": "text/plain", "size": 3},
            {"filename": "logo.gif", "contentType": "image/gif", "size": 3, "contentId": "logo"},
        ],
    },
)
CONTENTS = (b"abc", b"GIF")
# What Brevo can do: no images in the HTML, no header but X-, nothing but ASCII in it.
MODEST = RICH._replace(
    mail={
        **(RICH.mail or {}),
        "headers": {"X-Campaign": "greetings"},
        "attachments": [{"filename": "a.txt", "contentType": "text/plain", "size": 3}],
    }
)
del (MODEST.mail or {})["unsubscribe"]
LARGE = PLAIN._replace(
    mail={"attachments": [{"filename": "a.pdf", "contentType": "application/pdf", "size": 9_000_000}]}
)
LARGE_CONTENTS = (b"x" * 9_000_000,)
