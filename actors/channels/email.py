"""The e-mail channel: mails to one SMTP server, each sender with a connection that it keeps from mail to mail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actors.channels import (
    Begin,
    Deferred,
    NoConnection,
    ProviderDown,
    Receipt,
    Refused,
    Throttled,
    Uncertain,
    Undelivered,
    always,
    printable,
)
from actors.channels.answers import Reply
from actors.channels.connections import Connections
from actors.channels.lease import ConnectionLease
from actors.channels.mail import Mail, compose
from actors.channels.refusals import concerns_this_mail, judge, says_too_many
from actors.channels.replies import Stop
from actors.channels.smtp import Connection, Dropped
from actors.channels.unsubscribing import url
from db.records import Claimed
from mailboxes import mail_from
from settings import Settings

# After so many new connections in a row that took a mail no better than the old one, no others for so many seconds.
IN_VAIN, IN_VAIN_FOR = 3, 60.0
LAST_ANSWER = 540.0  # seconds after a stop; Dramatiq gives its threads ten minutes, of which some are for the record


class Email:
    """The mail server of SMTP_URL, and what this process has learned of it."""

    pipelines = True

    def __init__(self, settings: Settings, lease: ConnectionLease | None = None) -> None:
        server = settings.smtp
        self.provider = server.name
        self.settings = settings
        self.limits = Connections(server.connections, lease)
        self._first: asyncio.Future[None] | None = None  # done when the first connection is open or refused
        self.idle = settings.smtp_connection_idle
        self.own_sender = mail_from(settings.sender)
        self.stopping = Stop()
        self._in_vain, self._in_vain_since = 0, 0.0

    def sender(self) -> SmtpSender:
        return SmtpSender(self)

    def stop(self) -> None:
        """The process stops: give up after SHUTDOWN_GRACE what is not out. What is out waits for its answer."""
        now = time.monotonic()
        self.stopping.sending, self.stopping.answers = now + self.settings.shutdown_grace, now + LAST_ANSWER

    def ready(self, notification: Claimed) -> bool:
        """All go to the same server."""
        return True

    async def start(self) -> None:
        """Take this process's share of the connections."""
        await self.limits.start()

    async def close(self) -> None:
        await self.limits.stop()

    async def connect(self, limit: float) -> Connection:
        """Open a connection until `limit` (`time.monotonic()`). While none is open, one is tried at a time.

        Raises:
            NoConnection: it was refused, and others work.
            Throttled: it was refused because there are too many, and none of ours works.
            ProviderDown: it was refused, and no other works.
        """
        while self._first is not None and not self.limits.open:
            await asyncio.shield(self._first)
        if self.limits.open:
            return await self._connect(limit)
        self._first = asyncio.get_running_loop().create_future()
        try:
            connection = await self._connect(limit)
        except (ProviderDown, Throttled) as refusal:
            self._first.set_exception(refusal)
            self._first.exception()  # Perhaps nobody else waits for it.
            raise
        else:
            self._first.set_result(None)
            return connection
        finally:
            if not self._first.done():
                self._first.set_result(None)
            self._first = None

    async def _connect(self, limit: float) -> Connection:
        begun = time.monotonic()
        messages = self.limits.own.messages(begun)
        try:
            connection = await Connection.open(self.settings, self.stopping, limit, messages)
        except ProviderDown as down:
            full = says_too_many(down)
            if await self.limits.refused(begun, reached=down.receipt.phase != "connect", full=full):
                raise NoConnection(str(down)) from None
            if full:  # It is up; others have its connections, or we have opened too many lately.
                phase, code, enhanced_code, text = down.receipt
                raise Throttled(text, phase=phase, reply_code=code, enhanced_code=enhanced_code) from None
            raise
        self.limits.opened(connection)
        return connection

    def tried_anew(self, *, in_vain: bool) -> None:
        """Take note of what a new connection made of a mail that was refused over an old one."""
        self._in_vain = self._in_vain + 1 if in_vain else 0
        self._in_vain_since = time.monotonic()

    @property
    def try_anew(self) -> bool:
        """Whether a mail that was refused over an old connection is to be tried over a new one."""
        return self._in_vain < IN_VAIN or time.monotonic() - self._in_vain_since > IN_VAIN_FOR

    async def composed(self, notification: Claimed, contents: Sequence[bytes] = ()) -> Mail:
        """Return the mail; one with attachments takes a while, so a thread composes it."""
        if contents:
            return await asyncio.to_thread(self.compose, notification, contents)
        return self.compose(notification)

    def compose(self, notification: Claimed, contents: Sequence[bytes] = ()) -> Mail:
        leave = url(notification.id, self.settings) if notification.mail else None
        return compose(notification, self.own_sender, contents, leave)

    def blamed(self, mail: Mail) -> type[Undelivered]:
        """Return what a refusal of the mail's sender means.

        Our own sender refused: no notification is to blame. One that a client chose must not open the breaker for
        all the others.
        """
        return ProviderDown if mail.sender == self.own_sender.address else Refused


class SmtpSender:
    """Sends over one connection at a time, and opens a new one when the old one is used up or broken."""

    def __init__(self, email: Email) -> None:
        self._email = email
        self._connection: Connection | None = None
        self._introduced: tuple[Claimed, Mail] | None = None  # whose envelope has gone out with the mail before

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        following: Claimed | None = None,
    ) -> Receipt:
        if self._introduced is not None and self._introduced[0] is notification:
            mail = self._introduced[1]
        else:
            mail = await self._email.composed(notification, contents)
        limit = time.monotonic() + self._email.settings.smtp_limit
        connection = await self._ready(mail, limit)
        try:
            receipt = await self._converse(connection, mail, limit, begin, following)
        except Throttled:
            if connection.reused:  # Perhaps it is only this connection that takes no more.
                await self._drop(connection)
            raise
        except Undelivered as refusal:
            if not connection.reused or concerns_this_mail(refusal) or not self._email.try_anew:
                raise
            # Perhaps it takes no more mails over one connection: a new one will tell.
            await self._drop(connection)
            receipt = await self._send_anew(connection.mails - 1, mail, limit, begin, following)
        self._email.limits.took()
        return receipt

    async def hang_up(self) -> None:
        if self._connection is not None:
            await self._drop(self._connection)

    async def _send_anew(
        self, carried: int, mail: Mail, limit: float, begin: Begin, following: Claimed | None
    ) -> Receipt:
        """Send over a new connection what one that had `carried` so many mails did not take."""
        try:
            receipt = await self._converse(await self._ready(mail, limit), mail, limit, begin, following)
        except Undelivered:
            self._email.tried_anew(in_vain=True)
            raise
        self._email.tried_anew(in_vain=False)
        self._email.limits.own.spent(carried, time.monotonic())
        return receipt

    async def _converse(
        self, connection: Connection, mail: Mail, limit: float, begin: Begin, following: Claimed | None
    ) -> Receipt:
        blamed, begun = self._email.blamed(mail), time.monotonic()
        try:
            await _invite(connection, mail, begin, blamed)
            reply = await connection.content(mail.content, self._follower(connection, following))
            await _expect(connection, "content", reply, 2, blamed)
        except Dropped as drop:
            self._forget(connection)
            connection.close()  # The event loop would keep it, as long as the server does not end it.
            # The server may hang up on a connection that idled; this mail has nothing to do with it
            # and goes over a new one, of which that cannot be said again.
            if not (connection.reused and drop.phase == "mail"):
                raise _undelivered(drop) from None
            return await self._converse(await self._ready(mail, limit), mail, limit, begin, following)
        except Throttled:
            self._email.limits.throttled(begun)
            raise
        return Receipt("content", reply.code, reply.enhanced_code, reply.text)

    def _follower(self, connection: Connection, following: Claimed | None) -> Mail | None:
        """What can be said of the next mail already. Whatever is wrong with it, it is told when it is sent itself."""
        self._introduced = None
        if following is None or not connection.may_go_on():
            return None
        try:
            mail = self._email.compose(following)
            _check(connection, mail)
        except Exception:  # noqa: BLE001 - of whatever kind
            return None
        self._introduced = following, mail
        return mail

    async def _ready(self, mail: Mail, limit: float) -> Connection:
        connection = self._connection
        if connection is not None:
            connection.end_by(limit)
            if connection.introduced is mail:
                return connection
            if connection.introduced is not None:  # Another mail was introduced, and not sent.
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
    """All that comes before the content."""
    if connection.introduced is None:
        _check(connection, mail, blamed)
        await connection.introduce(mail)
    hello = await connection.mail(mail)
    if hello.code == 421 and connection.reused:
        raise Dropped("mail", hello.text)
    await _expect(connection, "mail", hello, 2, blamed)
    for recipient in mail.recipients:
        reply = await connection.rcpt(recipient)
        if len(mail.recipients) > 1 and reply.code >= 400 and judge("rcpt", reply, blamed) is not ProviderDown:
            reply = reply._replace(text=printable(f"{recipient}: {reply.text}"))
        # One that is refused ends it for all, so that no other one ever gets it twice.
        await _expect(connection, "rcpt", reply, 2, blamed)
    if not await begin():
        connection.close()
        raise Deferred("another worker has taken this over", phase="data")
    await _expect(connection, "data", await connection.data(), 3, blamed)


def _check(connection: Connection, mail: Mail, blamed: type[Undelivered] = ProviderDown) -> None:
    """Refuse what this server says it cannot take, before it has cost a transfer."""
    if mail.utf8 and not connection.offers("smtputf8"):
        told = [address for address in (mail.sender, *mail.recipients) if not address.isascii()] or ["an address"]
        kind = Refused if mail.sender.isascii() else blamed
        raise kind(printable(f"{told[0]} needs SMTPUTF8, which the mail server does not offer"), phase="mail")
    if len(mail.content) > connection.most:
        text = f"the mail has {len(mail.content)} octets, the mail server takes at most {connection.most}"
        raise Refused(text, phase="mail")


async def _expect(
    connection: Connection, phase: str, reply: Reply, kind: int, blamed: type[Undelivered] = ProviderDown
) -> None:
    """Judge a reply by its first digit: that decides also where the code is not one we know (RFC 5321, 4.2.1)."""
    if reply.code // 100 == kind:
        return
    if reply.code < 400:  # Neither yes nor no to what we said.
        raise Dropped(phase, reply.text, content_sent=phase == "content")
    if reply.code == 421:  # The server is about to hang up (RFC 5321, 3.8).
        connection.close()
    elif phase != "content":  # After which a server has forgotten the mail (RFC 5321, 4.1.1.4).
        await connection.reset()
    raise judge(phase, reply, blamed)(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code)


def _undelivered(drop: Dropped) -> Undelivered:
    return (Uncertain if drop.content_sent else Deferred)(drop.text, phase=drop.phase)
