"""Count the effects of a fault at the mail server and in the database, independently of the system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.mailbox import MailboxClient
from tests.queries import Queries
from tests.smtp import SmtpServer


class Arrivals(Protocol):
    """Mails that have arrived at the mail server."""

    def mails(self) -> int:
        """Return the number of mails, duplicates included."""

    def recipients(self) -> Counter[str] | dict[str, float]:
        """Return the recipients that have a mail."""


@dataclass(frozen=True, slots=True)
class Fast:
    """Arrivals at a sink, a process that accepts everything: mails by recipient, other messages by number."""

    mailbox: MailboxClient

    def mails(self) -> int:
        """Return the sink's count."""
        return self.mailbox.count().mails

    def recipients(self) -> dict[str, float]:
        """Return the first arrival of each recipient, in Unix seconds."""
        return self.mailbox.times()


@dataclass(frozen=True, slots=True)
class Scripted:
    """Arrivals at a mail server that misbehaves according to a script."""

    server: SmtpServer

    def mails(self) -> int:
        """Return the number of mails that were answered with 250."""
        return len(self.server.mails)

    def recipients(self) -> Counter[str]:
        """Return the number of mails of each recipient."""
        return Counter(to for mail in self.server.mails for to in mail.recipients)


@dataclass(frozen=True, slots=True)
class Count:
    """Result of a fault.

    `lost`: accepted notifications that neither arrived nor failed. `burnt`: attempts besides the one of each sent
    notification.
    """

    accepted: int
    delivered: int
    lost: int
    doubled: int
    stuck: int
    failed: int
    burnt: int


def count(accepted: Mapping[int, str], arrivals: Arrivals, sql: Queries) -> Count:
    """Return the result. `stuck`, `doubled` and `burnt` count all rows, also those whose POST was not answered."""
    arrived = arrivals.recipients()
    missing = [id for id, recipient in accepted.items() if recipient not in arrived]
    told = sql.statuses(missing)["failed"]
    [(unended, sent, failed, attempts)] = sql.rows(
        "SELECT count(*) FILTER (WHERE status IN ('pending', 'processing')),"
        " count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE status = 'failed'),"
        " (SELECT count(*) FROM attempts) FROM notifications"
    )
    return Count(
        accepted=len(accepted),
        delivered=len(accepted) - len(missing),
        lost=len(missing) - told,
        doubled=arrivals.mails() - len(arrived),
        stuck=unended,
        failed=failed,
        burnt=attempts - sent,
    )
