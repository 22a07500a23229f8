"""Message of a notification, and the longest text of each service."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from db.records import Claimed

# Characters of subject and message together. Longer texts are refused (Discord, Telegram) or cut off (Slack).
LONGEST = {"slack": 40_000, "discord": 2_000, "telegram": 4_096}
TEAMS_LIMIT = 28_672  # bytes of a request with its card


# Without the charset, Teams counts two bytes for each character.
HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "notification-system"}


class Message(NamedTuple):
    """Text of a message with its title, "" for none. `data`: further fields in the form of the service."""

    subject: str
    text: str
    data: dict[str, Any]

    @classmethod
    def of(cls, notification: Claimed) -> Message:
        # Kept as text, because jsonb would change numbers and the order of fields.
        data = (notification.mail or {}).get("data")
        return cls(notification.subject, notification.message, orjson.loads(data) if data else {})

    def titled(self, mark: str = "") -> str:
        """Return the text below its title, which is put between two marks."""
        return f"{mark}{self.subject}{mark}\n{self.text}" if self.subject else self.text


def excess(kind: str, subject: str, text: str) -> str | None:
    """Return the end of a sentence that says that a text is too long for a service, or None. The sentence begins with
    the field."""
    longest, length = LONGEST.get(kind), len(subject) + len(text)
    if longest is None or length <= longest:
        return None
    return f"is too long for {kind}: with the subject it has {length} characters, of at most {longest}"
