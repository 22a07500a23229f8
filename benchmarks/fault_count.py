"""What a fault did, counted at the mail server and in the database by a hand that is not the system's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.mailbox import MailboxClient
from tests.ledger import Ledger
from tests.smtp import SmtpServer


class Arrivals(Protocol):
    """The far end: what has really come."""

    def mails(self) -> int:
        """How many mails, doubles included."""

    def recipients(self) -> Counter[str] | dict[str, float]:
        """Who has got one."""


@dataclass(frozen=True, slots=True)
class Fast:
    """The sink in a process of its own: it accepts everything."""

    mailbox: MailboxClient

    def mails(self) -> int:
        """As it counted."""
        return self.mailbox.count().mails

    def recipients(self) -> dict[str, float]:
        """By first arrival."""
        return self.mailbox.times()


@dataclass(frozen=True, slots=True)
class Scripted:
    """The mail server that misbehaves as told."""

    server: SmtpServer

    def mails(self) -> int:
        """Those it has said 250 to."""
        return len(self.server.mails)

    def recipients(self) -> Counter[str]:
        """With the number of their mails."""
        return Counter(to for mail in self.server.mails for to in mail.recipients)


@dataclass(frozen=True, slots=True)
class Count:
    """`lost`: neither arrived nor told as failed. `burnt`: attempts beyond the one that each sent one needs."""

    accepted: int
    delivered: int
    lost: int
    doubled: int
    stuck: int
    failed: int
    burnt: int


def count(accepted: Mapping[int, str], arrivals: Arrivals, ledger: Ledger) -> Count:
    """The balance. Stuck, doubled and burnt are of the whole database: also of what no client heard of."""
    arrived = arrivals.recipients()
    missing = [id for id, recipient in accepted.items() if recipient not in arrived]
    told = ledger.statuses(missing)["failed"]
    [(unended, sent, failed, attempts)] = ledger.rows(
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
