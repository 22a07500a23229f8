"""Sender of the e-mail channel, which keeps its connection from mail to mail."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from actors.channels import (
    Begin,
    Deferred,
    ProviderDown,
    Receipt,
    Refused,
    Throttled,
    Uncertain,
    Undelivered,
    always,
    printable,
)
from actors.channels.email.answers import Reply
from actors.channels.email.domain_limits import recipients_of
from actors.channels.email.hard_bounce import note_hard_bounce
from actors.channels.email.mail import Mail
from actors.channels.email.refusals import concerns_this_mail, judge
from actors.channels.email.smtp import Connection
from actors.channels.email.smtp_session import Dropped
from db.records import Claimed

if TYPE_CHECKING:
    from actors.channels.email.smtp_provider import SmtpProvider


class SmtpSender:
    """Sender over one connection at a time. It opens a new one when the old one is used up or broken."""

    def __init__(self, email: SmtpProvider) -> None:
        self._email = email
        self._connection: Connection | None = None
        self._pipelined: tuple[Claimed, Mail] | None = None  # its envelope was sent with the mail before it

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        if self._pipelined is not None and self._pipelined[0] is notification:
            mail = self._pipelined[1]
        else:
            mail = await self._email.composed(notification, contents) if contents else self._email.compose(notification)
        begun = time.monotonic()
        limit = begun + self._email.send_limit
        connection = await self._ready(mail, limit)
        try:
            receipt = await self._converse(connection, mail, limit, begin, next_notification)
        except Throttled as throttled:
            # Perhaps the limit is that of this connection only.
            if connection.reused and throttled.retry_after is None:
                await self._drop(connection)
            raise
        except Undelivered as refusal:
            if not connection.reused or concerns_this_mail(refusal) or not self._email.try_anew:
                raise self._judged(notification, refusal, begun) from None
            # Perhaps the server accepts no more mails over one connection; try a new one.
            await self._drop(connection)
            carried = connection.mails - 1
            try:
                receipt = await self._send_anew(carried, mail, limit, begin, next_notification)
            except Undelivered as again:
                raise self._judged(notification, again, begun) from None
        self._email.limits.took()
        self._email.shaping.took(notification)
        return receipt

    async def hang_up(self) -> None:
        if self._connection is not None:
            await self._drop(self._connection)

    def _judged(self, notification: Claimed, refusal: Undelivered, begun: float) -> Undelivered:
        """Return a refusal with what it means for the mailbox of the recipient, or for the recipient's domain."""
        if isinstance(refusal, Throttled):
            return refusal
        note_hard_bounce(notification, refusal)
        return self._email.shaping.judged(refusal, recipients_of(notification), begun)

    async def _send_anew(
        self, carried: int, mail: Mail, limit: float, begin: Begin, next_notification: Claimed | None
    ) -> Receipt:
        """Send a mail over a new connection after one that had `carried` that many mails refused it."""
        try:
            receipt = await self._converse(await self._ready(mail, limit), mail, limit, begin, next_notification)
        except Undelivered:
            self._email.tried_anew(in_vain=True)
            raise
        self._email.tried_anew(in_vain=False)
        self._email.limits.own.spent(carried, time.monotonic())
        return receipt

    async def _converse(
        self, connection: Connection, mail: Mail, limit: float, begin: Begin, next_notification: Claimed | None
    ) -> Receipt:
        blamed, begun = self._email.blamed(mail), time.monotonic()
        try:
            await _invite(connection, mail, begin, blamed)
            reply = await connection.content(mail.content, self._follower(connection, next_notification))
            if reply.code // 100 != 2:
                await _refuse(connection, "content", reply, blamed)
        except Dropped as drop:
            connection.close()  # The event loop would keep it open until the server closes it.
            self._forget(connection)
            # The server may have closed an idle connection, which has nothing to do with this mail. Send it over a new
            # connection, which cannot have idled.
            if not (connection.reused and drop.phase == "mail"):
                raise _undelivered(drop) from None
            return await self._converse(await self._ready(mail, limit), mail, limit, begin, next_notification)
        except Throttled as throttled:
            judged = self._email.shaping.judged(throttled, mail.recipients, begun)
            if judged is throttled:
                self._email.limits.throttled(begun)
            raise judged from None
        return Receipt("content", reply.code, reply.enhanced_code, reply.text)

    def _follower(self, connection: Connection, next_notification: Claimed | None) -> Mail | None:
        """Return the next mail if its envelope may be sent already. Any fault of it is reported when it is sent."""
        self._pipelined = None
        if next_notification is None or not connection.may_go_on():
            return None
        try:
            mail = self._email.compose(next_notification)
            _check(connection, mail)
        except Exception:  # noqa: BLE001 - sending that mail will raise it again
            return None
        self._pipelined = next_notification, mail
        return mail

    async def _ready(self, mail: Mail, limit: float) -> Connection:
        connection = self._connection
        if connection is not None:
            connection.end_by(limit)
            if connection.pipelined is mail:
                return connection
            if connection.pipelined is not None:  # The envelope of another mail was sent, but not that mail.
                connection.close()
            if connection.usable():
                return connection
            await self._drop(connection)
        self._connection = await self._email.connect(limit)
        return self._connection

    async def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        await connection.quit()

    def _forget(self, connection: Connection) -> None:
        self._email.limits.closed(connection)
        self._connection = None


async def _invite(connection: Connection, mail: Mail, begin: Begin, blamed: type[Undelivered] = ProviderDown) -> None:
    """Run the conversation up to the server's consent to the content."""
    if connection.pipelined is None:
        _check(connection, mail, blamed)
        await connection.send_envelope(mail)
    hello = await connection.mail(mail)
    if hello.code == 421 and connection.reused:
        raise Dropped("mail", hello.text)
    if hello.code // 100 != 2:
        await _refuse(connection, "mail", hello, blamed)
    for recipient in mail.recipients:
        reply = await connection.rcpt(mail, recipient)
        if len(mail.recipients) > 1 and reply.code >= 400 and judge("rcpt", reply, blamed) is not ProviderDown:
            reply = reply._replace(text=printable(f"{recipient}: {reply.text}"))
        # A refused recipient ends the mail for all of them, so that no other one gets it twice.
        if reply.code // 100 != 2:
            await _refuse(connection, "rcpt", reply, blamed)
    if not await begin():
        connection.close()
        raise Deferred("another worker has claimed the notification", phase="data")
    ready = await connection.data()
    if ready.code // 100 != 3:
        await _refuse(connection, "data", ready, blamed)


def _check(connection: Connection, mail: Mail, blamed: type[Undelivered] = ProviderDown) -> None:
    """Refuse a mail that this server cannot accept according to its answer to EHLO, before it is transferred."""
    if mail.utf8 and not connection.offers("smtputf8"):
        told = [address for address in (mail.sender, *mail.recipients) if not address.isascii()] or ["an address"]
        kind = Refused if mail.sender.isascii() else blamed
        raise kind(printable(f"{told[0]} needs SMTPUTF8, which the mail server does not offer"), phase="mail")
    if len(mail.content) > connection.most:
        text = f"the mail has {len(mail.content)} octets, but the mail server accepts at most {connection.most}"
        raise Refused(text, phase="mail")


async def _refuse(
    connection: Connection, phase: str, reply: Reply, blamed: type[Undelivered] = ProviderDown
) -> NoReturn:
    """Raise the exception for a reply whose first digit is not the expected one (RFC 5321, section 4.2.1)."""
    if reply.code < 400:  # Neither consent nor refusal: the conversation is out of step.
        raise Dropped(phase, reply.text, content_sent=phase == "content")
    if reply.code == 421:  # The server is about to close the connection (RFC 5321, section 3.8).
        connection.close()
    elif phase != "content":  # After the content, the server has no mail to forget (RFC 5321, section 4.1.1.4).
        await connection.reset()
    raise judge(phase, reply, blamed)(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code)


def _undelivered(drop: Dropped) -> Undelivered:
    return (Uncertain if drop.content_sent else Deferred)(drop.text, phase=drop.phase)
