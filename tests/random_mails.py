"""Random notifications of every kind that a mail can be, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from db.records import Claimed

WORDS = (
    *("Hello", "order", "4711", "=?utf-8?q?x?=", ".", "..", "From ", "a" * 998, "b" * 120, "Grüße", "☀", "日本語"),
    *("naïve", "\t", "  ", " ", "\n", "\n\n", "\r\n", " \n", "tab\there", "é", "👨‍👩‍👧", "--", "=", "=20"),
)
SENDERS = (
    "noreply@example.com",
    "Shop <shop@example.com>",
    "Größe & Söhne <a@example.com>",
    '"A, B" <x.y@example.com>',
)
TYPES = (
    ("a.txt", "text/plain"),
    ("Rechnung ü.pdf", "application/pdf"),
    ("x" * 90 + ".bin", "application/octet-stream"),
)


def mails(seed: int, count: int) -> Iterator[tuple[Claimed, Sequence[bytes]]]:
    """Yield notifications with the contents of their attachments."""
    draw = random.Random(seed)
    for number in range(1, count + 1):
        options, contents = _options(draw, number)
        yield (
            Claimed(
                # Not a body of nothing but white space, which rspamd 3.4 fails whoever signs it.
                *(number, 1, "email", f"to{number}@example.com", _text(draw, 6), f"{_text(draw, 60)}."),
                f"<p>{_text(draw, 40)}</p>" if draw.random() < 0.4 else None,
                *("resend", 0, datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number)),
                mail=options,
            ),
            contents,
        )


def _options(draw: random.Random, number: int) -> tuple[dict[str, Any] | None, list[bytes]]:
    """Return the options of a mail, or None for a plain one, and its attachments."""
    if draw.random() < 0.3:
        return None, []
    options: dict[str, Any] = {"from": draw.choice(SENDERS)}
    if draw.random() < 0.3:
        options["cc"] = [f"Copy {n} <copy{n}@example.com>" for n in range(draw.randint(1, 12))]
    if draw.random() < 0.2:
        options["replyTo"] = "Häuser <reply@example.com>"
    if draw.random() < 0.2:
        options["recipientName"] = draw.choice(("Ann", "Jürgen Müller", 'O\'Brien, "Bob"'))
    if draw.random() < 0.4:
        options["unsubscribe"] = {"url": f"https://example.com/u/{number}"}
    if draw.random() < 0.4:
        options["headers"] = {"Feedback-ID": f"{number}:shop:example", "X-Long": "y" * draw.randint(1, 300)}
        options["headers"] |= {"References": " ".join(f"<{n}@example.com>" for n in range(draw.randint(1, 20)))}
    contents = [draw.randbytes(draw.randint(0, 20_000)) for _ in range(draw.choice((0, 0, 0, 1, 2)))]
    if contents:
        files = [draw.choice(TYPES) for _ in contents]
        options["attachments"] = [{"filename": name, "contentType": kind} for name, kind in files]
    return options, contents


def _text(draw: random.Random, most: int) -> str:
    return "".join(f"{draw.choice(WORDS)}{draw.choice(('', ' '))}" for _ in range(draw.randint(0, most)))
