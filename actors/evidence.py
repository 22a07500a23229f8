"""What an attempt tells about the mail server itself, for the breaker.

A server is down where it cannot be reached, greeted, encrypted or logged in to, or closes before it knows whom
the mail is for. What it does once it knows (421 or a closed connection at RCPT, DATA or the content) may concern
one recipient or one client's mail: a greylist, a limit of the recipient's domain, a filter. Such failures count
once for each client and recipient's domain. A reply that says that our account is limited, paused or not logged in
is about the server's service for all mail, whenever it comes.
"""

from __future__ import annotations

from typing import NamedTuple

from db.records import Attempt, Claimed

CLOSING = 421  # RFC 5321, 3.8
_KNOWS_RECIPIENT = frozenset({"rcpt", "data", "content", "rset"})

About = tuple[int, str]  # client, domain of the recipient


class Evidence(NamedTuple):
    """`down`: the attempt failed as one does where the server is down. `about`: it may concern this mail alone."""

    down: bool
    about: About | None = None


def evidence(notification: Claimed, attempt: Attempt) -> Evidence:
    """Return what this attempt by mail says about the server."""
    broke_off = attempt.outcome == "deferred" and attempt.reply_code in (None, CLOSING)
    if attempt.outcome != "provider-down" and not (broke_off and attempt.phase in _KNOWS_RECIPIENT):
        return Evidence(down=False)
    if attempt.phase in _KNOWS_RECIPIENT and attempt.reply_code in (None, CLOSING):
        return Evidence(down=True, about=(notification.client_id, _domain(notification.recipient)))
    if attempt.phase == "mail" and (notification.mail or {}).get("from"):  # The client's own sender is refused.
        return Evidence(down=True, about=(notification.client_id, ""))
    return Evidence(down=True)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].casefold()
