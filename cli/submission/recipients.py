"""Recipients of a mail: those of the envelope, shown as the fields To and Cc of the mail show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.message import Message
from email.utils import getaddresses
from typing import Any, NamedTuple

from actors.channels.email.addresses import normalised
from cli.submission import charsets
from cli.submission.mail import unfolded
from cli.submission.refusal import MailRefused

# Nothing, or a group without members, such as `undisclosed-recipients:;`.
NO_ADDRESS = re.compile(r"([^:<>@()]+:\s*;?)?")


class Mailbox(NamedTuple):
    """Display name, which may be empty, and address."""

    name: str
    address: str

    @property
    def written(self) -> str:
        """The mailbox as the API takes it."""
        if not self.name:
            return self.address
        name = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}" <{self.address}>'


def mailboxes(mail: Message, name: str) -> list[Mailbox]:
    """Return the mailboxes of a header field, which may be given several times. Raises MailRefused."""
    values = [unfolded(value, name).strip() for value in mail.get_all(name, [])]
    try:
        found = [(called, address) for called, address in getaddresses(values) if address]
    except RecursionError:
        found = []
    # Versions of Python before 2024-09 find addresses in some fields in which later ones find none.
    if not found and not all(map(NO_ADDRESS.fullmatch, values)):
        raise MailRefused(
            f"The header field {name} cannot be read: write its addresses as Name <address>, separated by commas"
        )
    return [Mailbox(charsets.unencoded(called, name), address) for called, address in found]


def mailbox(mail: Message, name: str) -> str | None:
    """Return the only mailbox of a header field as the API takes it, None without the field. Raises MailRefused."""
    if not mail.get_all(name):
        return None
    found = mailboxes(mail, name)
    if len(found) != 1:
        raise MailRefused(f"The header field {name} must have one mailbox; it has {len(found)}")
    return found[0].written


def addressed(mail: Message, envelope: Sequence[str]) -> list[dict[str, Any]]:
    """Return `recipient`, `recipientName`, `cc` and `bcc` of each notification that the mail becomes.

    A mail whose To or Cc names recipients becomes one notification: the first is its recipient, the others are in cc,
    and those that the mail does not name are in bcc. If it names none of them (a list, an alias, only Bcc), each
    recipient gets a notification of its own and does not learn of the others.

    Raises:
        MailRefused: The mail names recipients, and others to whom it is not sent.
    """
    sent_to: dict[str, str] = {}
    for address in envelope:
        sent_to.setdefault(normalised(address), address)
    named: dict[str, Mailbox] = {}
    for one in (*mailboxes(mail, "To"), *mailboxes(mail, "Cc")):
        named.setdefault(normalised(one.address), one)
    if named.keys().isdisjoint(sent_to):
        return [{"recipient": address} for address in sent_to.values()]
    if others := [one.address for key, one in named.items() if key not in sent_to]:
        raise MailRefused(
            f"To and Cc name {_listed(others)}, but RCPT TO does not: "
            "the service shows only recipients. Leave them out, or send to them in the same mail"
        )
    first, *copies = named.values()
    fields: dict[str, Any] = {"recipient": first.address}
    if first.name:
        fields["recipientName"] = first.name
    if copies:
        fields["cc"] = [one.written for one in copies]
    if hidden := [address for key, address in sent_to.items() if key not in named]:
        fields["bcc"] = hidden
    return [fields]


def _listed(addresses: Iterable[str]) -> str:
    shown, *rest = addresses
    return f"{shown} and {len(rest)} more" if rest else shown
