"""Decide from an attempt whether the mail server itself is down, for the breaker.

A server is down if connecting, its greeting, TLS or the login fails, or if it closes the connection before it knows
the recipient. A 421 or a closed connection at RCPT, DATA or the content may concern one recipient or one client's mail
only: greylisting, a limit of the recipient's domain, a filter. Such failures count once for each client and
recipient's domain. A reply that our account is limited, paused or not logged in concerns all mail, in every phase.
"""

from __future__ import annotations

from typing import NamedTuple

from db.records import Attempt, Claimed

CLOSING = 421  # RFC 5321, 3.8
_KNOWS_RECIPIENT = frozenset({"rcpt", "data", "content", "rset"})

About = tuple[int, str]  # client, domain of the recipient


class Evidence(NamedTuple):
    """`down`: the server seems to be down. `about`: the client and domain to which the failure may be limited."""

    down: bool
    about: About | None = None


def evidence(notification: Claimed, attempt: Attempt) -> Evidence:
    """Return what an attempt to send a mail says about the server."""
    broke_off = attempt.outcome == "deferred" and attempt.reply_code in (None, CLOSING)
    if attempt.outcome != "provider-down" and not (broke_off and attempt.phase in _KNOWS_RECIPIENT):
        return Evidence(down=False)
    if attempt.phase in _KNOWS_RECIPIENT and attempt.reply_code in (None, CLOSING):
        return Evidence(down=True, about=(notification.client_id, _domain(notification.recipient)))
    if attempt.phase == "mail" and (notification.mail or {}).get("from"):  # The client chose the refused sender.
        return Evidence(down=True, about=(notification.client_id, ""))
    return Evidence(down=True)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].casefold()
