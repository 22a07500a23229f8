"""A mail on its way to a provider's API: as a whole (MIME), or as fields that the provider composes itself."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from actors.channels import ProviderDown, Refused, Undelivered, printable
from actors.channels.email import headers
from actors.channels.email.identity import Identity, unique
from actors.channels.email.mail import Mail, attached, compose, linked, more_headers
from actors.channels.email.mailboxes import CONTROL, Mailbox, on_the_wire
from actors.channels.email.mime import Attached
from db.records import Claimed

SPECIAL = re.compile(r'[()<>\[\]:;@\\,."]')  # RFC 5322, 3.2.3


class Fields(NamedTuple):
    """Fields of a mail. `headers`: those of the client and for unsubscribing; their values are ASCII on one line.

    `token`: the value of the provider's reference field, which its events repeat; empty for none.
    """

    sender: Mailbox
    to: Mailbox
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: Mailbox | None
    subject: str
    text: str
    html: str | None
    headers: dict[str, str]
    attached: tuple[Attached, ...]
    message_id: str
    token: str = ""


class Outgoing(NamedTuple):
    """Notification to be sent. `own_sender`: its sender unless it names one. `now`: for signatures.

    `contents`: the contents of its attachments. `leave`: the URL for unsubscribing, if it asks for our own link.
    `identity`: the marks by which reports about it are recognised.
    """

    notification: Claimed
    own_sender: Mailbox
    now: datetime
    contents: Sequence[bytes] = ()
    leave: str | None = None
    identity: Identity | None = None

    @property
    def sender(self) -> Mailbox:
        """The sender of the mail; raises ValueError."""
        given = (self.notification.mail or {}).get("from")
        return Mailbox.parse(given) if given else self.own_sender

    @property
    def blamed(self) -> type[Undelivered]:
        """The error for a refused sender. One that a client chose must not open the breaker for everybody."""
        return ProviderDown if self.sender.address == self.own_sender.address else Refused

    @property
    def message_id(self) -> str:
        """The id of the mail, without angle brackets: the same in every attempt."""
        mark = self.identity.mark if self.identity else unique(self.notification)
        return f"{mark}@{self.sender.domain}"

    @property
    def token(self) -> str:
        """The token for the provider's reference field, which its events repeat; empty if there is none."""
        return self.identity.token if self.identity else ""

    def mail(self, provider: str) -> Mail:
        """Return the whole mail. `provider`: its name, for messages.

        Raises:
            Undelivered: The mail cannot be composed, or an address needs SMTPUTF8.
        """
        mail = compose(self.notification, self.own_sender, self.contents, self.leave, self.identity)
        if mail.utf8:
            addresses = (mail.sender, *mail.recipients)
            raise self._not_ascii(provider, next((one for one in addresses if not one.isascii()), "an address"))
        return mail

    def fields(self, provider: str) -> Fields:
        """Return the fields of the mail; see `mail`."""
        try:
            fields = self._read()
        except ValueError as error:
            raise Refused(str(error), phase="compose") from None
        for one in _mailboxes(fields):
            if not one.address.isascii():
                raise self._not_ascii(provider, one.address)
        return fields

    def _read(self) -> Fields:
        notification = self.notification
        given = linked(notification.mail or {}, self.leave)
        cc, bcc = (tuple(Mailbox.parse(text) for text in given.get(name, ())) for name in ("cc", "bcc"))
        return Fields(
            sender=self.sender,
            to=Mailbox(given.get("recipientName", ""), on_the_wire(notification.recipient)),
            cc=cc,
            bcc=bcc,
            reply_to=Mailbox.parse(given["replyTo"]) if "replyTo" in given else None,
            subject=one_line(notification.subject),
            text=notification.message,
            html=notification.html,
            headers={name: value.strip().replace("\r\n ", " ") for name, value in more_headers(given)},
            attached=tuple(attached(given, self.contents)),
            message_id=self.message_id,
            token=self.token,
        )

    def _not_ascii(self, provider: str, address: str) -> Undelivered:
        kind = Refused if self.sender.address.isascii() else self.blamed
        return kind(printable(f"{address} needs SMTPUTF8, which {provider} does not offer"), phase="compose")


def one_line(text: str) -> str:
    """Return a text for a header without control characters."""
    return CONTROL.sub(" ", text)


def written(one: Mailbox) -> str:
    """Return `Name <address>` as the APIs take it: in Unicode, quoted if the name has special characters."""
    if not one.name:
        return one.address
    name = one_line(one.name)
    if SPECIAL.search(name):
        name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return f"{name} <{one.address}>"


def named(one: Mailbox) -> dict[str, str]:
    """Return a mailbox as an object with `email` and, if there is one, `name`."""
    return {"email": one.address} | ({"name": one_line(one.name)} if one.name else {})


def in_base64(content: bytes) -> str:
    return b64encode(content).decode()


def encoded_name(name: str) -> str:
    """Return a display name as encoded words (RFC 2047) on one line, if it is not ASCII."""
    return name if name.isascii() else headers.unstructured(name).replace("\r\n ", " ")


def _mailboxes(fields: Fields) -> Iterator[Mailbox]:
    yield from (fields.sender, fields.to, *fields.cc, *fields.bcc)
    if fields.reply_to is not None:
        yield fields.reply_to
